import type { PiiDetector, PiiSpan, PiiType } from '../pii-types.js';
import { detectCreditCards } from './credit-card.js';
import { detectEmails } from './email.js';
import { detectIbans } from './iban.js';
import { detectIpAddresses } from './ip-address.js';
import { mergeSpans } from './merge-spans.js';
import { numberRuns, type NumberRun } from './number-runs.js';
import { detectPhones } from './phone.js';
import { detectSecrets } from './secret.js';
import { detectSocialSecurityNumbers } from './social-security-number.js';

/** Counts up whenever a detector finds something else than before: what was stored under the old one is not looked up any more. */
const VERSION = 1;

type Detect = (text: string, runs: () => readonly NumberRun[]) => PiiSpan[];

const DETECTORS: ReadonlyMap<PiiType, Detect> = new Map<PiiType, Detect>([
  ['EMAIL', detectEmails],
  ['PHONE', (text, runs) => detectPhones(text, runs())],
  ['CREDIT_CARD', (text, runs) => detectCreditCards(text, runs())],
  ['IBAN', detectIbans],
  ['SSN', (text, runs) => detectSocialSecurityNumbers(text, runs())],
  ['SECRET', detectSecrets],
  ['IP', detectIpAddresses],
]);

/** What is found unless other entities are asked for. IP is left out: versions and sections look the same. */
export const DEFAULT_ENTITIES: readonly PiiType[] = ['EMAIL', 'PHONE', 'CREDIT_CARD', 'IBAN', 'SSN', 'SECRET'];

/** Every type the built-in detectors know. */
export const BUILT_IN_ENTITIES: readonly PiiType[] = [...DETECTORS.keys()];

/** The spans of these types in a text, sorted and not overlapping (see {@link mergeSpans}). Types that are not built in are passed over. */
export function detectBuiltIn(text: string, entities: Iterable<PiiType> = DEFAULT_ENTITIES): PiiSpan[] {
  let runs: readonly NumberRun[] | undefined;
  const runsOnce = (): readonly NumberRun[] => (runs ??= numberRuns(text));
  const spans: PiiSpan[] = [];
  for (const type of new Set(entities)) for (const span of DETECTORS.get(type)?.(text, runsOnce) ?? []) spans.push(span);
  return mergeSpans(spans);
}

/** The built-in detectors as one {@link PiiDetector}, which answers at once. Its version names the entities. */
export function builtInDetector(entities: Iterable<PiiType> = DEFAULT_ENTITIES): PiiDetector & { detect(text: string): PiiSpan[] } {
  const chosen = BUILT_IN_ENTITIES.filter((type) => new Set(entities).has(type));
  return { id: 'built-in', version: `${VERSION} ${chosen.join(' ')}`, detect: (text) => detectBuiltIn(text, chosen) };
}
