import type { PiiDetector, PiiSpan, PiiType } from '../../core/pii.js';
import { CleanTexts } from './clean-texts.js';
import { creditCardsInto } from './credit-card.js';
import { detectEmails } from './email.js';
import { detectIbans } from './iban.js';
import { detectIpAddresses } from './ip-address.js';
import { mergeSpans } from './merge-spans.js';
import { visitNumberRuns, type RunVisitor } from './number-runs.js';
import { phonesInto } from './phone.js';
import { detectSecrets } from './secret.js';
import { socialSecurityNumbersInto } from './social-security-number.js';

/** Counts up whenever a detector finds something else than before: what was stored under the old one is not looked up any more. */
const VERSION = 1;

/** What looks at the text itself. */
const TEXT_DETECTORS: ReadonlyMap<PiiType, (text: string) => PiiSpan[]> = new Map<PiiType, (text: string) => PiiSpan[]>([
  ['EMAIL', detectEmails],
  ['IBAN', detectIbans],
  ['SECRET', detectSecrets],
  ['IP', detectIpAddresses],
]);

/** What looks at rows of digits, which are read once for all of them. */
const NUMBER_DETECTORS: ReadonlyMap<PiiType, (spans: PiiSpan[], text: string) => RunVisitor> = new Map<PiiType, (spans: PiiSpan[], text: string) => RunVisitor>([
  ['PHONE', phonesInto],
  ['CREDIT_CARD', creditCardsInto],
  ['SSN', socialSecurityNumbersInto],
]);

/** What is found unless other entities are asked for. IP is left out: versions and sections look the same. */
export const DEFAULT_ENTITIES: readonly PiiType[] = ['EMAIL', 'PHONE', 'CREDIT_CARD', 'IBAN', 'SSN', 'SECRET'];

/** Every type the built-in detectors know. */
export const BUILT_IN_ENTITIES: readonly PiiType[] = [...DEFAULT_ENTITIES, 'IP'];

/** Without a digit, an address, the start of a key or a long word there is nothing to find; most texts of a request are short. */
const WORTH_A_LOOK = /[\d@]|:[a-f/:]|-----BEGIN|[\w.-]{14}/i;

/** The spans of these types in a text, sorted and not overlapping (see {@link mergeSpans}). Types that are not built in are passed over. */
export function detectBuiltIn(text: string, entities: Iterable<PiiType> = DEFAULT_ENTITIES): PiiSpan[] {
  if (!WORTH_A_LOOK.test(text)) return [];
  const spans: PiiSpan[] = [];
  const visitors: RunVisitor[] = [];
  for (const type of new Set(entities)) {
    for (const span of TEXT_DETECTORS.get(type)?.(text) ?? []) spans.push(span);
    const visitor = NUMBER_DETECTORS.get(type)?.(spans, text);
    if (visitor !== undefined) visitors.push(visitor);
  }
  if (visitors.length > 0) {
    visitNumberRuns(text, (run) => {
      for (const visit of visitors) visit(run);
    });
  }
  return mergeSpans(spans);
}

/** The built-in detectors as one {@link PiiDetector}, which answers at once. Its version names the entities. */
export function builtInDetector(entities: Iterable<PiiType> = DEFAULT_ENTITIES): PiiDetector & { detect(text: string): PiiSpan[] } {
  const chosen = BUILT_IN_ENTITIES.filter((type) => new Set(entities).has(type));
  const clean = new CleanTexts();
  const detect = (text: string): PiiSpan[] => {
    if (clean.has(text)) return [];
    const spans = detectBuiltIn(text, chosen);
    if (spans.length === 0) clean.add(text);
    return spans;
  };
  return { id: 'built-in', version: `${VERSION} ${chosen.join(' ')}`, detect };
}
