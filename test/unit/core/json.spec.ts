import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { parseJson } from '../../../lib/core/json.js';
import { same } from '../../fixtures/values.js';

describe('parseJson', () => {
  // V8 of Node 24 reads each of them as the name `\`, once it has read that.
  it.each(['"', '\n', '\u0001', '\t', '\\a', '\\"'])('reads the name %j after the name of a backslash', (name) => {
    JSON.parse('{"first":1,"\\\\":2}');
    expect(Object.keys(parseJson(JSON.stringify({ first: 1, [name]: 2 })) as object)).toEqual(['first', name]);
  });

  it.each<[text: string, fields: Array<[string, unknown]>]>([
    ['{"\\n":1,"__proto__":2}', [['\n', 1], ['__proto__', 2]]],
    ['{"b":1,"1":2,"\\n":3,"0":4}', [['0', 4], ['1', 2], ['b', 1], ['\n', 3]]],
    ['{"\\u0061":1,"b":2,"a":3}', [['a', 3], ['b', 2]]],
    ['{"\\ud800" : {"\\"":":"}}', [['\ud800', { '"': ':' }]]],
    ['{"a":"\\",\\"b\\":1"}', [['a', '","b":1']]],
  ])('reads %s as JSON has it', (text, fields) => {
    expect(Object.entries(parseJson(text) as object)).toEqual(fields);
  });

  it.each(['', '{', '{"a\\":1}', '{"\\x":1}', "{'a':1}", '{"a":1}}'])('refuses %j', (text) => {
    expect(() => parseJson(text)).toThrow(SyntaxError);
  });

  it('reads a text of 8 MB with an escape in a name', () => {
    const long = '\\"'.repeat(2_000_000);
    expect((parseJson(`{"\\n":"${long}${long}"}`) as Record<string, string>)['\n']).toHaveLength(4_000_000);
  });

  it('gives what was written, for any JSON, whatever was read before', () => {
    const name = fc.string({ unit: fc.constantFrom('a', '1', '\\', '"', '\n', '\u2028', '\ud800', '_', ':') , maxLength: 4 });
    const json = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, fc.integer(), name, fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(name, tie('value'), { maxKeys: 3, noNullPrototype: true })),
    })).value;
    fc.assert(
      fc.property(json, (given) => {
        expect(same(parseJson(JSON.stringify(given)), given)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
