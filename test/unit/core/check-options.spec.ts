import { describe, expect, it } from '@jest/globals';
import * as rules from '../../../lib/core/check-options.js';
import type { OptionRule } from '../../../lib/core/check-options.js';
import { LlmCacheConfigError } from '../../../lib/core/errors.js';

interface Options {
  ttl?: unknown;
  name?: unknown;
  flight?: unknown;
  ring?: unknown;
}

const TABLE: rules.OptionRules<Options> = {
  ttl: rules.durationOrFalse,
  name: rules.nonEmptyString,
  flight: { group: { timeout: rules.timerDuration, run: rules.aFunction }, required: ['run'] },
  ring: {
    group: {
      current: rules.nonEmptyString,
      keys: { names: { accepts: 'lower case', test: (name) => /^[a-z]+$/.test(name as string) }, each: { accepts: 'a secret text', test: (value) => typeof value === 'string', isSecret: true } },
    },
    required: ['keys'],
    together: ({ current, keys }) => (current === undefined || Object.hasOwn(keys as object, current as string) ? undefined : { name: 'current', accepts: 'one of the keys' }),
  },
};

const run = (): void => undefined;

describe('checkOptions', () => {
  it.each<[options: unknown]>([
    [{}],
    [{ ttl: undefined, name: undefined, flight: undefined }],
    [{ ttl: false }],
    [{ ttl: '1d', name: 'x', flight: { run } }],
    [{ flight: { run, timeout: '24d' } }],
    [{ ring: { keys: {} } }],
    [{ ring: { current: 'a', keys: { a: 'x', b: '' } } }],
    [Object.create(null)],
  ])('accepts %j', (options) => {
    expect(() => rules.checkOptions('Owner', options, TABLE)).not.toThrow();
  });

  const FORM = "a positive whole number of milliseconds, or a string such as '500ms', '30s', '15m', '12h', '7d'";

  it.each<[options: unknown, message: string]>([
    [undefined, 'Owner: the options must be an object, not undefined.'],
    [null, 'Owner: the options must be an object, not null.'],
    [[], 'Owner: the options must be an object, not an array.'],
    ['1d', 'Owner: the options must be an object, not this string.'],
    [run, 'Owner: the options must be an object, not a function.'],
    [{ tll: '1d' }, 'Owner: unknown option "tll". Known options: ttl, name, flight, ring.'],
    [{ tll: undefined }, 'Owner: unknown option "tll". Known options: ttl, name, flight, ring.'],
    [{ toString: 1 }, 'Owner: unknown option "toString". Known options: ttl, name, flight, ring.'],
    [JSON.parse('{"__proto__":1}'), 'Owner: unknown option "__proto__". Known options: ttl, name, flight, ring.'],
    [{ ttl: 'soon' }, `Owner: option "ttl" must be ${FORM}, or false for no expiry, not this string.`],
    [{ ttl: 0 }, `Owner: option "ttl" must be ${FORM}, or false for no expiry, not 0.`],
    [{ ttl: Number.NaN }, `Owner: option "ttl" must be ${FORM}, or false for no expiry, not NaN.`],
    [{ ttl: true }, `Owner: option "ttl" must be ${FORM}, or false for no expiry, not a boolean.`],
    [{ ttl: 1n }, `Owner: option "ttl" must be ${FORM}, or false for no expiry, not a bigint.`],
    [{ ttl: {} }, `Owner: option "ttl" must be ${FORM}, or false for no expiry, not an object.`],
    [{ name: '' }, 'Owner: option "name" must be a non-empty string, not an empty string.'],
    [{ name: null }, 'Owner: option "name" must be a non-empty string, not null.'],
    [{ flight: 1 }, 'Owner: option "flight" must be an object with timeout, run, not 1.'],
    [{ flight: null }, 'Owner: option "flight" must be an object with timeout, run, not null.'],
    [{ flight: {} }, 'Owner: option "flight.run" must be a function, not undefined.'],
    [{ flight: { run, tmeout: 1 } }, 'Owner: unknown option "flight.tmeout". Known options: timeout, run.'],
    [{ flight: { run, timeout: '25d' } }, `Owner: option "flight.timeout" must be ${FORM}, at most 24 days, not this string.`],
    [{ ring: 1 }, 'Owner: option "ring" must be an object with current, keys, not 1.'],
    [{ ring: {} }, 'Owner: option "ring.keys" must be an object, not undefined.'],
    [{ ring: { keys: [] } }, 'Owner: option "ring.keys" must be an object, not an array.'],
    [{ ring: { keys: { a: 7 } } }, 'Owner: option "ring.keys.a" must be a secret text, not a number.'],
    [{ ring: { keys: { a: undefined } } }, 'Owner: option "ring.keys.a" must be a secret text, not undefined.'],
    [{ ring: { keys: { A: 'x' } } }, 'Owner: option "ring.keys" must be an object whose field names are lower case, not this string.'],
    [{ ring: { current: 'toString', keys: { a: 'x' } } }, 'Owner: option "ring.current" must be one of the keys, not this string.'],
    [{ ring: { current: '', keys: { a: 7 } } }, 'Owner: option "ring.current" must be a non-empty string, not an empty string.'],
    [{ ring: { kyes: {} } }, 'Owner: unknown option "ring.kyes". Known options: current, keys.'],
  ])('refuses %p in words a developer can act on (%#)', (options, message) => {
    const check = (): void => rules.checkOptions('Owner', options, TABLE);
    expect(check).toThrow(LlmCacheConfigError);
    expect(check).toThrow(expect.objectContaining({ message, code: 'LLM_CACHE_CONFIG' }));
  });

  it('quotes no value that may be a secret', () => {
    const secret = 'sk-live-0123456789';
    for (const options of [{ ttl: secret }, { name: [secret] }, { flight: { run: secret } }, { flight: secret }]) {
      const check = (): void => rules.checkOptions('Owner', options, TABLE);
      expect(check).toThrow(expect.objectContaining({ message: expect.not.stringContaining(secret) }));
    }
  });
});

describe('option rules', () => {
  const everything: unknown[] = [
    undefined, null, true, false, 0, -0, 1, -1, 0.5, 1.5, Number.NaN, Infinity, 1n, '', 'x', '1s', '25d', 'a', [], ['a'], [''], [1], {}, run, Symbol('x'),
  ];

  it.each<[name: string, rule: OptionRule, accepted: unknown[]]>([
    ['positiveInteger', rules.positiveInteger, [1]],
    ['fraction', rules.fraction, [0, -0, 1, 0.5]],
    ['nonEmptyString', rules.nonEmptyString, ['x', '1s', '25d', 'a']],
    ['stringOrNumber', rules.stringOrNumber, [0, -0, 1, -1, 0.5, 1.5, 'x', '1s', '25d', 'a']],
    ['stringList', rules.stringList, [[], ['a']]],
    ['trueOrFalse', rules.trueOrFalse, [true, false]],
    ['aFunction', rules.aFunction, [run]],
    ['aRecord', rules.aRecord, [{}]],
    ['duration', rules.duration, [1, '1s', '25d']],
    ['durationOrFalse', rules.durationOrFalse, [false, 1, '1s', '25d']],
    ['timerDuration', rules.timerDuration, [1, '1s']],
    ["oneOf('a', 'x')", rules.oneOf('a', 'x'), ['x', 'a']],
    ['either(duration, stringList)', rules.either(rules.duration, rules.stringList), [1, '1s', '25d', [], ['a']]],
  ])('%s accepts only what it says', (_name, rule, accepted) => {
    expect(everything.filter((value) => rule.test(value))).toEqual(accepted);
    expect(rule.accepts).not.toBe('');
  });

  it.each([
    ["oneOf('on', 'off')", rules.oneOf('on', 'off'), "'on' or 'off'"],
    ['either', rules.either(rules.aFunction, rules.trueOrFalse), 'a function, or true or false'],
  ])('%s says what it accepts', (_name, rule, words) => {
    expect(rule.accepts).toBe(words);
  });
});
