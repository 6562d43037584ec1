import { describe, expect, it } from '@jest/globals';
import { UncacheableInputError } from '../../../lib/core/errors.js';
import { encodeNamespace, keyOf, type KeyDocument } from '../../../lib/key/key.js';
import { PLAIN_DOCUMENT as DOCUMENT } from '../../fixtures/key-document.js';

describe('key', () => {
  it('shows the schema, the namespace and 256 bits, and nothing else', () => {
    expect(keyOf(DOCUMENT)).toMatch(/^llm1\.llm\.[\w-]{43}$/);
  });

  it('has no two parts that can stand in for each other', () => {
    const variants: Array<Partial<KeyDocument>> = [
      {},
      { namespace: 'v' },
      { scope: 'v' },
      { name: 'v' },
      { provider: 'v' },
      { versions: ['v', undefined] },
      { versions: [undefined, 'v'] },
      { sample: 'v' },
      { model: { v: 'v' } },
      { input: 'v' },
      { scope: 0 },
      { versions: [0, undefined] },
      { versions: [undefined, 0] },
      { sample: 0 },
      { input: { v: 'v' } },
      { input: undefined },
      { input: null },
      { input: {} },
      { input: [] },
    ];
    const keys = variants.map((variant) => keyOf({ ...DOCUMENT, ...variant }));
    expect(new Set(keys).size).toBe(variants.length);
  });

  it('does not let text flow from one part into the next', () => {
    const flow = (scope: string, name: string): string => keyOf({ ...DOCUMENT, scope, name });
    expect(new Set([flow('ab', 'c'), flow('a', 'bc'), flow('', 'abc'), flow('abc', ' ')]).size).toBe(4);
  });

  it('tells lone surrogates in any part from each other', () => {
    const keys = ['\ud800', '\ud801', '\ufffd'].flatMap((text) => [
      keyOf({ ...DOCUMENT, name: text }),
      keyOf({ ...DOCUMENT, scope: text }),
      keyOf({ ...DOCUMENT, namespace: text }),
      keyOf({ ...DOCUMENT, model: { [text]: 1 } }),
    ]);
    expect(new Set(keys).size).toBe(12);
  });
});

describe('namespace in a key', () => {
  it.each([
    ['llm', 'llm'],
    ['my_app-2', 'my_app-2'],
    ['a.b', 'a%002eb'],
    ['a%002eb', 'a%0025002eb'],
    ['名', '%540d'],
    ['\ud83d\ude00', '%d83d%de00'],
    [' ', '%0020'],
    ['~x', '%007ex'],
  ])('%j is written %s', (namespace, encoded) => {
    expect(encodeNamespace(namespace)).toBe(encoded);
  });

  it('is shown by its digest when long, and two long ones still differ', () => {
    const long = (last: string): string => encodeNamespace('n'.repeat(200) + last);
    expect(long('a')).toMatch(/^~[\w-]{43}$/);
    expect(long('a')).not.toBe(long('b'));
  });

  it('holds no separator, however many there have been', () => {
    for (let index = 0; index < 1_200; index++) expect(encodeNamespace(`a.${index}:b`)).toBe(`a%002e${index}%003ab`);
  });
});

describe('path of a value that has no key', () => {
  const run = (): number => 1;
  const cyclic: Record<string, unknown> = { name: 'x' };
  cyclic['parent'] = { child: cyclic };
  const list: unknown[] = [1];
  list.push(list);

  it.each<[path: string, problem: string, parts: Partial<KeyDocument>]>([
    ['input', 'a function', { input: run }],
    ['input', 'a symbol', { input: Symbol('x') }],
    ['input[0]', 'a function', { input: [run] }],
    ['input[0].tools[2].run', 'a function', { input: [{ tools: [1, 2, { run }] }] }],
    ['input[1]', 'a cycle', { input: list }],
    ['input.parent.child', 'a cycle', { input: cyclic }],
    ['input.when.get()', 'a promise', { input: { when: new Map([['k', Promise.resolve()]]) } }],
    ['input.key()', 'a function', { input: new Map([[run, 1]]) }],
    ['input.has()', 'a symbol', { input: new Set([1, Symbol('x')]) }],
    ['input.a.b', 'an error', { input: { a: { b: new Error('x') } } }],
    ['input.__proto__', 'a function', { input: JSON.parse('{"__proto__":0}', (key, value: unknown) => (key === '__proto__' ? run : value)) }],
    ['model.tools[0].execute', 'a function', { model: { tools: [{ execute: run }] } }],
    ['input.größe', 'a function', { input: { größe: run } }],
    ['input.x', 'an instance whose state cannot be seen', { input: { x: new WeakSet() } }],
    ['input.x', 'an object with symbol keys', { input: { x: { [Symbol('s')]: 1 } } }],
  ])('is %s (%s)', (path, problem, parts) => {
    const error = refusalOf({ ...DOCUMENT, ...parts });
    expect({ path: error.path, problem: error.problem }).toEqual({ path, problem });
    expect(error.message).toContain(`${path} is ${problem}`);
    expect(error.message).toContain('`key`');
  });

  it('hides a field name that reads like data', () => {
    const error = refusalOf({ ...DOCUMENT, input: { 'bob@example.com': run } });
    expect(error.path).toMatch(/^input\[#[\w-]{8}\]$/);
    expect(error.message).not.toContain('bob');
    expect(refusalOf({ ...DOCUMENT, input: { ['n'.repeat(41)]: run } }).path).toMatch(/^input\[#/);
  });

  it('names the part alone, and nothing it said, when reading it throws', () => {
    const throws = (thrown: unknown): KeyDocument => ({
      ...DOCUMENT,
      input: { a: { get b(): never { throw thrown; } } },
    });
    for (const thrown of [new Error('the secret'), 'the secret', undefined, null]) {
      const error = refusalOf(throws(thrown));
      expect(error.path).toBe('input');
      expect(error.problem).toBe('an object that throws when it is read');
      expect(error.message).not.toContain('secret');
    }
  });

  it('does not hide a refusal because something else throws on the way to it', () => {
    let reads = 0;
    const input = {
      get a(): number {
        reads++;
        if (reads > 1) throw new Error('only once');
        return 1;
      },
      b: run,
    };
    const error = refusalOf({ ...DOCUMENT, input });
    expect(error.path.startsWith('input')).toBe(true);
    expect(error.problem).toBe('a function');
  });

  it('stops after some steps of a long way', () => {
    let input: unknown = run;
    for (let level = 0; level < 100; level++) input = { a: input };
    const error = refusalOf({ ...DOCUMENT, input });
    expect(error.path).toMatch(/^input(\.a){10,100}$/);
    expect(error.problem).toBe('a function');
  });
});

function refusalOf(document: KeyDocument): UncacheableInputError {
  try {
    keyOf(document);
  } catch (error) {
    if (error instanceof UncacheableInputError) return error;
    throw error;
  }
  throw new Error('the document has a key');
}
