import { DURATION_FORM, durationMs } from './duration.js';
import { LlmCacheConfigError } from './errors.js';

/** One rule of an options table: what is accepted, in words and as a test. `undefined` is always accepted as "not given". */
export interface OptionRule {
  readonly accepts: string;
  readonly test: (value: unknown) => boolean;
  /** Not even a number is shown. */
  readonly isSecret?: true;
}

type AnyRule = OptionRule | OptionGroup | OptionMap;

export type OptionRules<Options> = { readonly [Name in keyof Required<Options>]: AnyRule };

/** Options inside an option, such as `singleFlight: { timeout }`. */
export interface OptionGroup {
  readonly group: Readonly<Record<string, AnyRule>>;
  readonly required?: readonly string[];
  /** What they must be to each other, once each is right by itself: the first that is not, and what it accepts. */
  readonly together?: (value: Record<string, unknown>) => { name: string; accepts: string } | undefined;
}

/** Options under names of the caller's own, such as `keys: { '2026-01': ... }`. */
export interface OptionMap {
  readonly each: OptionRule;
  readonly names: OptionRule;
}

/**
 * Checks an options object against its table.
 * @throws LlmCacheConfigError that names the first wrong or unknown option and the accepted form. Values are not quoted: they may be secrets.
 */
export function checkOptions<Options>(owner: string, options: unknown, rules: OptionRules<Options>): void {
  if (!isRecord(options)) throw new LlmCacheConfigError(`${owner}: the options must be an object, not ${kindOf(options)}.`);
  for (const name of namesOf(options)) {
    const value = options[name];
    const rule = Object.hasOwn(rules, name) ? rules[name as keyof Options] : undefined;
    if (rule === undefined) {
      throw new LlmCacheConfigError(`${owner}: unknown option "${name}". Known options: ${Object.keys(rules).join(', ')}.`);
    }
    if (value !== undefined) check(owner, name, value, rule);
  }
}

function check(owner: string, name: string, value: unknown, rule: AnyRule): void {
  if ('group' in rule) checkGroup(owner, name, value, rule);
  else if ('each' in rule) checkEach(owner, name, value, rule);
  else if (!rule.test(value)) refuse(owner, name, rule, value);
}

/** Own fields, and the getters of a class: a configuration object may be an instance of one. */
function namesOf(options: object): string[] {
  const names = Object.keys(options);
  for (let level: object | null = Object.getPrototypeOf(options) as object | null; level !== null; level = Object.getPrototypeOf(level) as object | null) {
    if (Object.getPrototypeOf(level) === null) break; // Object.prototype
    const own = Object.entries(Object.getOwnPropertyDescriptors(level));
    names.push(...own.filter(([, field]) => 'get' in field || field.enumerable).map(([name]) => name));
  }
  return [...new Set(names)];
}

function checkGroup(owner: string, name: string, value: unknown, { group, required = [], together }: OptionGroup): void {
  if (!isRecord(value)) refuse(owner, name, { accepts: `an object with ${Object.keys(group).join(', ')}` }, value);
  for (const inner of Object.keys(value)) {
    if (!Object.hasOwn(group, inner)) {
      throw new LlmCacheConfigError(`${owner}: unknown option "${name}.${inner}". Known options: ${Object.keys(group).join(', ')}.`);
    }
  }
  for (const [inner, rule] of Object.entries(group)) {
    if (value[inner] !== undefined || required.includes(inner)) check(owner, `${name}.${inner}`, value[inner], rule);
  }
  const wrong = together?.(value);
  if (wrong !== undefined) refuse(owner, `${name}.${wrong.name}`, wrong, value[wrong.name]);
}

function checkEach(owner: string, name: string, value: unknown, { each, names }: OptionMap): void {
  if (!isRecord(value)) refuse(owner, name, { accepts: 'an object' }, value);
  for (const [inner, given] of Object.entries(value)) {
    // Not shown: what is no name may be the value, put in the wrong place.
    if (!names.test(inner)) refuse(owner, name, { accepts: `an object whose field names are ${names.accepts}` }, inner);
    if (!each.test(given)) refuse(owner, `${name}.${inner}`, each, given);
  }
}

function refuse(owner: string, name: string, { accepts, isSecret }: Pick<OptionRule, 'accepts' | 'isSecret'>, value: unknown): never {
  const kind = isSecret && typeof value === 'number' ? 'a number' : kindOf(value);
  throw new LlmCacheConfigError(`${owner}: option "${name}" must be ${accepts}, not ${kind}.`);
}

/** What a value is, without saying what it holds. Numbers are shown: they are what people mistype. */
function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return value === '' ? 'an empty string' : 'this string';
  return value === undefined ? 'undefined' : `${/^[aeiou]/.test(typeof value) ? 'an' : 'a'} ${typeof value}`;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export const positiveInteger: OptionRule = {
  accepts: 'a positive whole number',
  test: (value) => Number.isSafeInteger(value) && (value as number) > 0,
};

export const fraction: OptionRule = {
  accepts: 'a number from 0 to 1',
  test: (value) => typeof value === 'number' && value >= 0 && value <= 1,
};

export const nonEmptyString: OptionRule = {
  accepts: 'a non-empty string',
  test: (value) => typeof value === 'string' && value !== '',
};

export const stringOrNumber: OptionRule = {
  accepts: 'a non-empty string or a finite number',
  test: (value) => (typeof value === 'string' && value !== '') || Number.isFinite(value),
};

export const stringList: OptionRule = {
  accepts: 'an array of non-empty strings',
  test: (value) => Array.isArray(value) && value.every(nonEmptyString.test),
};

export const trueOrFalse: OptionRule = { accepts: 'true or false', test: (value) => typeof value === 'boolean' };

export const aFunction: OptionRule = { accepts: 'a function', test: (value) => typeof value === 'function' };

export const aRecord: OptionRule = { accepts: 'an object', test: isRecord };

export const duration: OptionRule = { accepts: DURATION_FORM, test: (value) => durationMs(value) !== undefined };

export const durationOrFalse: OptionRule = {
  accepts: `${DURATION_FORM}, or false for no expiry`,
  test: (value) => value === false || duration.test(value),
};

/** A duration that a timer has to hold. */
export const timerDuration: OptionRule = {
  accepts: `${DURATION_FORM}, at most 24 days`,
  test: (value) => (durationMs(value) ?? Infinity) <= 24 * 86_400_000,
};

export const oneOf = (...values: string[]): OptionRule => ({
  accepts: values.map((value) => `'${value}'`).join(' or '),
  test: (value) => values.includes(value as string),
});

export const either = (a: OptionRule, b: OptionRule): OptionRule => ({
  accepts: `${a.accepts}, or ${b.accepts}`,
  test: (value) => a.test(value) || b.test(value),
});
