import { aFunction, checkOptions, isRecord, nonEmptyString, oneOf, timerDuration, type OptionRule } from '../core/check-options.js';
import { LlmCacheConfigError } from '../core/errors.js';
import { BUILT_IN_ENTITIES } from './detectors/built-in-detectors.js';
import type { PiiOptions, PiiType } from '../core/pii.js';

const isDetector = (value: unknown): boolean =>
  isRecord(value) && [value['id'], value['version']].every(nonEmptyString.test) && typeof value['detect'] === 'function';

const isRedactor = (value: unknown): boolean =>
  isRecord(value) && [value['id'], value['version']].every(nonEmptyString.test) && typeof value['redact'] === 'function';

const rules: Record<keyof PiiOptions, OptionRule> = {
  mode: oneOf('bypass', 'redact', 'pseudonymize', 'redact-stored'),
  redactor: {
    accepts: 'a function from text to text, or a redactor: an object with non-empty strings `id` and `version` and a function `redact`',
    test: (value) => aFunction.test(value) || isRedactor(value),
  },
  entities: {
    accepts: `a list of ${BUILT_IN_ENTITIES.join(', ')}`,
    test: (value) => Array.isArray(value) && value.every((type) => BUILT_IN_ENTITIES.includes(type as PiiType)),
  },
  detectors: {
    accepts: 'a list of detectors: objects with non-empty strings `id` and `version` and a function `detect`',
    test: (value) => Array.isArray(value) && value.every(isDetector),
  },
  onResponsePii: oneOf('skip', 'redact', 'store'),
  timeout: timerDuration,
};

/** The rule of an option that takes these. What is inside is checked by {@link checkPiiOptions}, which says more. */
export const piiOptions: OptionRule = { accepts: 'an object, or false', test: (value) => value === false || isRecord(value) };

/** @throws LlmCacheConfigError naming the first wrong or unknown option, or two that exclude each other. */
export function checkPiiOptions(owner: string, options: unknown): void {
  if (options === undefined || options === false) return;
  checkOptions(owner, { pii: options }, { pii: { group: rules } });
  const { mode, redactor, entities, detectors } = options as PiiOptions;
  if (redactor !== undefined && (entities !== undefined || detectors !== undefined)) {
    throw new LlmCacheConfigError(`${owner}: option "pii.${entities === undefined ? 'detectors' : 'entities'}" is of the built-in redactor, and "pii.redactor" takes its place: give one of them.`);
  }
  if (mode === 'pseudonymize' && typeof redactor === 'function') {
    throw new LlmCacheConfigError(`${owner}: option "pii.mode" cannot be 'pseudonymize' with a function as "pii.redactor", for there is no way back from what it makes: give "pii.detectors", or a redactor with \`rehydrate\`.`);
  }
}
