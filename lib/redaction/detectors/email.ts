import type { PiiSpan } from '../../core/pii.js';
import { isAsciiAlphanumeric } from './characters.js';

/** RFC 5321: at most 64 octets before the @, 255 after it. */
const LONGEST_LOCAL = 64;
const LONGEST_DOMAIN = 255;

/** Letters, digits, and the marks that real addresses have. What only quotes, paths and queries have ends an address. */
const LOCAL_MARKS = new Set("._%+-'&~");
const LETTER = /[\p{L}\p{M}\p{N}]/u;
const ASCII = /^[\0-\x7f]$/;
/** Written without spaces between words, so that an address in Latin letters stands right behind. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}ー]/u;

const DOMAIN = /[\p{L}\p{M}\p{N}](?:[\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])?(?:\.[\p{L}\p{M}\p{N}](?:[\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])?){1,8}/uy;
const TOP_LEVEL = /^(?:[a-z]{2,24}|xn--[a-z\d-]{2,59}|[^\0-\x7f][\p{L}\p{M}-]{1,24})$/iu;

/** Last parts of names that are files or systemd units, none of them a top-level domain. */
const FILE_ENDINGS = new Set(
  (
    'png jpg jpeg gif svg webp avif ico bmp tif tiff pdf html htm xml txt csv tsv css scss less js mjs cjs jsx ts mts cts tsx vue ' +
    'json jsonl yaml yml toml lock map woff ttf otf tgz gz bz tar exe dll jar war deb rpm log service socket timer mount target slice'
  ).split(' '),
);

/** A call such as `q@k.transpose(0, 1)` multiplies matrices; an address may have a remark behind it. */
const USUAL_TOP_LEVEL = /^(?:[a-z]{2}|com|org|net|edu|gov|mil|int|info|biz|name|dev|app|example|test|invalid)$/i;

/** Accounts of services that serve repositories, which are nobody's mailbox. */
const SERVICE_LOCALS = new Set(['git', 'hg', 'svn']);

/** E-mail addresses, found from the @ outwards. */
export function detectEmails(text: string): PiiSpan[] {
  const spans: PiiSpan[] = [];
  let nextDot = -1;
  for (let at = text.indexOf('@'); at !== -1; at = text.indexOf('@', at + 1)) {
    if (nextDot < at) nextDot = text.indexOf('.', at);
    if (nextDot === -1) break;
    if (nextDot - at > LONGEST_DOMAIN) continue;
    const start = startOfLocal(text, at);
    if (start === at) continue;
    const end = endOfDomain(text, at + 1);
    if (end !== undefined && isAddress(text, start, at, end)) spans.push({ start, end, type: 'EMAIL' });
  }
  return spans;
}

function startOfLocal(text: string, at: number): number {
  const isLatin = isAsciiAlphanumeric(text.charCodeAt(at - 1));
  let start = at;
  while (start > 0 && at - start < LONGEST_LOCAL && isOfLocal(text[start - 1]!, isLatin)) start--;
  // A quote, a dash of a list, the end of a sentence.
  while (start < at && LOCAL_MARKS.has(text[start]!) && text[start] !== '_') start++;
  return text[at - 1] === '.' ? at : start;
}

function isOfLocal(character: string, isLatin: boolean): boolean {
  if (isAsciiAlphanumeric(character.charCodeAt(0)) || LOCAL_MARKS.has(character)) return true;
  return !ASCII.test(character) && LETTER.test(character) && !(isLatin && UNSPACED.test(character));
}

/** Where the longest name that ends in a top-level domain ends. */
function endOfDomain(text: string, start: number): number | undefined {
  // Of a slice: no pattern runs on through a long text.
  DOMAIN.lastIndex = 0;
  const labels = DOMAIN.exec(text.slice(start, start + LONGEST_DOMAIN))?.[0].split('.') ?? [];
  if (/^\d+$/.test(labels[0] ?? '') && /^\d/.test(labels[1] ?? '')) return undefined; // react@18.2.0-rc.next
  while (labels.length > 1) {
    const last = withoutUnspaced(labels.pop()!);
    if (FILE_ENDINGS.has(last.toLowerCase())) return undefined;
    if (TOP_LEVEL.test(last)) return start + labels.join('.').length + 1 + last.length;
  }
  return undefined;
}

/** `example.comです`: Latin letters end where letters of an unspaced script begin. */
function withoutUnspaced(label: string): string {
  if (!isAsciiAlphanumeric(label.charCodeAt(0))) return label;
  const place = label.search(UNSPACED);
  return place === -1 ? label : label.slice(0, place);
}

function isAddress(text: string, start: number, at: number, end: number): boolean {
  if (SERVICE_LOCALS.has(text.slice(start, at))) return false;
  const after = text.slice(end, end + 40);
  if (/^:[\w.~-]{0,39}\//.test(after) && !/^:\w+:\/\//.test(after)) return false; // scp: host:path/to
  if (after.startsWith('(') && !USUAL_TOP_LEVEL.test(text.slice(text.lastIndexOf('.', end) + 1, end))) return false;
  // The end of a password in the credentials of an address: those are a SECRET.
  return !/\w:\/\/[^\s/:]{0,64}:[^\s/]{0,64}$/.test(text.slice(Math.max(0, start - 140), start));
}
