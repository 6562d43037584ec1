const words = (list: string): ReadonlySet<string> => new Set(list.split(/\s+/));

/** Nouns that say outright that the number beside them is a telephone's, in the languages of Europe and a few more. */
const NOUNS = words(
  `phone phones telephone telephones tel tlf telf ph mobile mobiles mob cell cells cellphone cellphones cellular fax faxes whatsapp landline
  landlines hotline switchboard voicemail smartphone handset handphone pager
  telefon telefone telefonnummer telefonnumret telefonnr telefono telefoni teléfono teléfonos telefoon telefoonnummer téléphone tél telefax telefaks
  telefonu telefonem telemóvel handy handynummer mobil mobilnummer mobiltelefon mobilnr mobiel móvil móviles portable fixe rufnummer durchwahl festnetz
  celular celulares cellulare cellulari gsm komórka komórkowy puhelin puhelinnumero matkapuhelin simi sími símanúmer farsími
  τηλέφωνο κινητό τηλ телефон телефона телефону тел моб мобильный 电话 手机 電話 電話番号 携帯 전화 전화번호 هاتف جوال טלפון`,
);

/** `my number`, `contact number`: whose number says that it is a telephone's. */
const OWNERS = words('my your his her their our contact contacts daytime evening home work office desk direct callback emergency registered toll-free new old personal private correct current following');
const NUMBER_WORDS = words('number numbers no nr num line extension');

/** Verbs, which a telephone number follows as it is. */
const VERBS = words(
  `call called calling caller callback dial dials dialled dialed dialling dialing phoned phoning ring rang sms contact contacting contacted desk
  anrufen anruf ruf rufen rufe appeler appelez appelle joindre joignable contacter llamar llama llámame llame contactar chiamare chiama chiamami chiamate
  ligar ligue bel bellen ringa ringe zadzwoń dzwonić soita soittaa звоните позвоните звонить позвони`,
);

/** Words that a telephone number follows by way of a word such as `at`, `to` or `me`; other numbers follow them as well. */
const LOOSE_VERBS = words(
  `calls rings ringing reach reaches reached reachable reaching text texts texted texting contacts message messages messaged messaging answer answers
  answering answered unanswered pick picks picked hang hung signal number numbers erreichen erreichbar melden appel touch speak buzz llamada número numéro numero nummer
  numer номер`,
);
/** What any number is called. One that is not grouped like a quantity is then most likely a telephone's. */
const ANY_NUMBER = words('number numéro número numero nummer numer номер');
/** Labels of a number in a signature or a table, with a colon behind. */
const LABELS = words('t m f p h w o office home work main direct emergency reception helpline support private bureau büro domicile privat zentrale casa oficina ufficio');
const TOWARDS = words('at on to from me us him her them under via by unter au auf al a em op på pod na по');

/** What a number belongs to when it is no telephone's. */
const OTHER_NUMBERS = words(
  `id ids order orders invoice invoices code codes version versions line lines port ports error errors ticket tickets case cases ref reference model
  models serial account accounts card cards page pages row rows record records room rooms flight flights tracking sku isbn issn ean zip postcode part
  product item batch lot policy claim passport licence license vat tax iban ssn bug issue pr commit build function method stack times about over than with sold worth cost costs
  nearly almost approximately roughly with chapter section article vote votes score salary price total amount sum population
  bestellung rechnung konto commande facture pedido factura ordine fattura`,
);

/** Words between a verb and a bare number that say nothing else than whom to call, and how. */
const LINKS = words(
  `me us him her them you back at on to the is under via by my your our his their this number mobile phone anytime please now directly today up also
  unter au auf am uns mich al a o em op på pod numer nummer numéro número sur le la el il der die das su mi mon mein meine`,
);

/** How far back a word may stand, in code units, and how many other words may stand between. */
export const CONTEXT_REACH = 48;
const MOST_BETWEEN = 5;
const MOST_UNKNOWN = 2;

const TOKEN = /[\p{L}\p{M}'’]+(?:-[\p{L}\p{M}]+)?|\p{N}+|[^\p{L}\p{M}\p{N}'’\s]/gu;
const LETTER = /^\p{L}/u;
const NUMBER = /^\p{N}/u;
/** Marks that begin something else: a statement, code, an amount. A dot does so too, unless it ends an abbreviation. */
const BREAKS = new Set(';!{}@$€£%&+<\\');
const ABBREVIATIONS = words('tel tlf telf ph mob tél τηλ тел моб no nr num');

/** How sure the words in front make it that a telephone number follows. */
export type PhoneContext = 'named' | 'called' | 'called directly' | 'numbered' | 'none';

/** `before` ends where the number starts, and begins behind any number before it. */
export function phoneContext(before: string): PhoneContext {
  if (before.length < 3 || !/\p{L}/u.test(before)) return 'none';
  const tokens = before.match(TOKEN) ?? [];
  const passed: Passed = { words: 0, unknown: 0, isTowards: false, isBroken: false };
  for (let index = tokens.length - 1; index >= 0; index--) {
    const token = tokens[index]!.toLowerCase();
    const previous = tokens[index - 1]?.toLowerCase() ?? '';
    if (!LETTER.test(token)) {
      if (BREAKS.has(token) || NUMBER.test(token) || (token === '.' && !ABBREVIATIONS.has(previous))) return 'none';
      passed.isBroken ||= token === '?' || token === ',';
      continue;
    }
    if (index === tokens.length - 2 && tokens[index + 1] === ':' && LABELS.has(token)) return 'called';
    const context = isCall(before, tokens, index) ? 'none' : contextOf(token, previous, passed);
    if (context !== undefined) return context;
    passed.words++;
    if (!LINKS.has(token) && !OWNERS.has(token)) passed.unknown++;
    passed.isTowards ||= TOWARDS.has(token);
  }
  return 'none';
}

/** What stands between a word and the number. */
interface Passed {
  words: number;
  unknown: number;
  isTowards: boolean;
  isBroken: boolean;
}

/** What a word says; `undefined` when it says nothing, so that the words before it count. */
function contextOf(token: string, previous: string, passed: Passed): PhoneContext | undefined {
  if (NOUNS.has(token) || (NUMBER_WORDS.has(token) && OWNERS.has(previous))) return 'named';
  const isVerb = VERBS.has(token) || (passed.isTowards && LOOSE_VERBS.has(token));
  if (isVerb && !OTHER_NUMBERS.has(previous)) return passed.unknown === 0 && !passed.isBroken ? 'called directly' : 'called';
  if (ANY_NUMBER.has(token) && passed.unknown === 0 && !OTHER_NUMBERS.has(previous)) return 'numbered';
  const isFar = passed.words >= MOST_BETWEEN || (passed.unknown >= MOST_UNKNOWN && !LINKS.has(token));
  return OTHER_NUMBERS.has(token) || isFar ? 'none' : undefined;
}

/** `dial(1000000)`, in a program: the last word, and a parenthesis that touches it. */
const isCall = (before: string, tokens: readonly string[], index: number): boolean => index === tokens.length - 2 && tokens[index + 1] === '(' && before.endsWith(`${tokens[index]}(`);

const AFTERWARDS =
  /^\s{0,2}[(,–-]?\s{0,2}(?:(?:as|is|are|was|for) )?(?:(?:my|the|our|his|her|your|a) )?(?:(?:new|old|work|home|office|contact|current|primary) ){0,2}(?:mobile|cell|phone|telephone|fax|handy|portable|móvil|tel|landline|whatsapp)(?: number| no)?\.?(?=\s{0,2}(?:[),.;:!?\n]|$|and |or |but |so |if |now))/iu;

const CALLS = /^ (?:is|was|keeps|kept|has been|just|isn['’]t|doesn['’]t|didn['’]t|won['’]t)(?: not| no longer)? (?:calling|ringing|answering|answer|texting|called|rang|texted|reachable|unreachable|disconnected)(?!\p{L})/u;

/** `467 3395 (mobile)`, `467 3395 is my phone number`; when it is grouped also `467 3395 keeps calling`. */
export function isCalledPhoneAfter(after: string, isGrouped: boolean): boolean {
  return AFTERWARDS.test(after) || (isGrouped && CALLS.test(after));
}

/** What may follow a telephone number in a sentence. Any other word in small letters is what a quantity counts. */
const AFTER_A_NUMBER = words(
  `is are or and to for if when after before between ext please pls thanks asap at on from as anytime today tomorrow tonight now so but not because
  since until till i i'd i'm we he she they my it this that immediately again instead only regarding oder und wenn ou et o y e si se of en lub during
  urgently directly by in via has have does did was keeps which who right first then later whenever any every where anymore either about doesn't isn't didn't won't can't cannot will would should belongs works`,
);
const UNIT = /^(?:%|\s?(?:€|\$|£|°|[kKMG]?[BbWm](?!\p{L})))/u;
const NEXT_WORD = /^[ \t]([\p{L}'’]+)/u;

/** A number that is followed by what it counts: `12 345 678 times`. */
export function isQuantity(after: string): boolean {
  const next = NEXT_WORD.exec(after)?.[1];
  if (next === undefined || UNIT.test(after)) return UNIT.test(after);
  return next === next.toLowerCase() && !AFTER_A_NUMBER.has(next);
}
