import { createContext, runInContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import { canonicalForm, MAX_DEPTH, Refusal } from '../../../lib/key/canonical-form.js';
import { digest } from '../../../lib/key/digest.js';
import { nested, sharedReferenceBomb, valueOf } from '../../fixtures/values.js';

/** Written by hand, from the definition: this is a storage format. */
const FORMS: ReadonlyArray<readonly [written: unknown, form: string]> = [
  ['', 's0:'],
  ['hello', 's5:hello'],
  ['s5:hello', 's8:s5:hello'],
  ['\ud83d\ude00', 's2:\ud83d\ude00'],
  ['\ud800', 's1:\ud800'],
  [0, 'd0;'],
  [{ $new: 'number', of: '-0' }, 'd0;'],
  [1, 'd1;'],
  [1.5, 'd1.5;'],
  [1e21, 'd1e+21;'],
  [{ $new: 'number', of: 'NaN' }, 'dNaN;'],
  [{ $new: 'number', of: 'Infinity' }, 'dInfinity;'],
  [{ $new: 'number', of: '-Infinity' }, 'd-Infinity;'],
  [{ $new: 'bigint', of: '-12' }, 'i-12;'],
  [true, 't'],
  [false, 'f'],
  [null, 'n'],
  [{ $new: 'undefined' }, 'u'],
  [[], 'a0:'],
  [['a', ['b']], 'a2:s1:aa1:s1:b'],
  [{ $new: 'sparse', length: 3, of: { 1: 'x' } }, 'a3:hs1:xh'],
  [[{ $new: 'undefined' }], 'a1:u'],
  [{}, 'o.'],
  [{ b: 1, a: 2 }, 'o1:ad2;1:bd1;.'],
  [{ a: { $new: 'undefined' } }, 'o.'],
  [{ a: null }, 'o1:an.'],
  [{ ['__proto__']: 1 }, 'o9:__proto__d1;.'],
  [{ '\ufffe': 1, '\ud83d\ude00': 2 }, 'o2:\ud83d\ude00d2;1:\ufffed1;.'],
  [{ 10: 'ten', 9: 'nine' }, 'o2:10s3:ten1:9s4:nine.'],
  [{ $new: 'null-prototype', of: { a: 1 } }, 'o1:ad1;.'],
  [{ $new: 'instance', of: { a: 1 } }, 'o1:ad1;.'],
  [{ $new: 'toJSON', of: ['x'] }, 'a1:s1:x'],
  [{ $new: 'Date', of: '1970-01-01T00:00:00.001Z' }, 'Dd1;'],
  [{ $new: 'Date', of: null }, 'DdNaN;'],
  [{ $new: 'Map', of: [['a', 1]] }, 'Ma2:s1:ad1;'],
  [{ $new: 'Set', of: ['b', 'a'] }, 'Sa2:s1:bs1:a'],
  [{ $new: 'RegExp', of: ['a+', 'gi'] }, 'Rs2:a+s2:gid0;'],
  [{ $new: 'URL', of: 'https://a.test' }, 'Us15:https://a.test/'],
  [{ $new: 'Buffer', of: [1, 2] }, `B6:Buffer2:${digest(Uint8Array.of(1, 2))}`],
  [{ $new: 'Uint16Array', of: [1] }, `B11:Uint16Array2:${digest(Uint8Array.of(1, 0))}`],
  [{ $new: 'ArrayBuffer', of: [1] }, `B11:ArrayBuffer1:${digest(Uint8Array.of(1))}`],
  [{ $new: 'shared', of: { a: 1 } }, 'a2:o1:ad1;.o1:ad1;.'],
];

describe('canonical form', () => {
  it.each(FORMS)('of %j is %j', (written, form) => {
    expect(canonicalForm(valueOf(written))).toBe(form);
  });

  it('sorts fields by UTF-16 code unit, few or many, whatever their order', () => {
    const keys = Array.from({ length: 60 }, (_, index) => `k${(index * 37) % 60}`);
    const object = (names: string[]): object => Object.fromEntries(names.map((name) => [name, name]));
    for (const count of [2, 24, 25, 60]) {
      const names = keys.slice(0, count);
      expect(canonicalForm(object(names))).toBe(canonicalForm(object(names.toReversed())));
      const shown = [...canonicalForm(object(names)).matchAll(/\d+:(k\d+)s/g)].map(([, name]) => name);
      expect(shown).toEqual(names.toSorted());
    }
  });

  it('takes a plain object of another realm for a plain object', () => {
    const foreign: unknown = runInContext('({ a: [1, { b: 2 }], empty: {} })', createContext());
    expect(canonicalForm(foreign)).toBe(canonicalForm({ a: [1, { b: 2 }], empty: {} }));
  });

  it('ignores how much of its memory a view shows, and not what it shows', () => {
    const memory = Uint8Array.of(9, 1, 2, 9);
    expect(canonicalForm(memory.subarray(1, 3))).toBe(canonicalForm(Uint8Array.of(1, 2)));
    expect(canonicalForm(memory.subarray(0, 2))).not.toBe(canonicalForm(Uint8Array.of(1, 2)));
  });

  it('counts what only the fields of an instance show, and its toJSON before them', () => {
    class Ticket {
      constructor(
        readonly id: number,
        readonly text: string,
      ) {}
      toJSON(): unknown {
        return { id: this.id };
      }
    }
    expect(canonicalForm(new Ticket(1, 'a'))).toBe(canonicalForm(new Ticket(1, 'b')));
    expect(canonicalForm(new Ticket(1, 'a'))).not.toBe(canonicalForm(new Ticket(2, 'a')));
  });

  it(`goes ${MAX_DEPTH} levels deep and refuses the next, without a stack overflow`, () => {
    expect(canonicalForm(nested(MAX_DEPTH))).toBe(`${'a1:'.repeat(MAX_DEPTH - 1)}a0:`);
    expect(problemOf(nested(MAX_DEPTH + 1))).toBe('nested deeper than 200 levels');
    expect(problemOf(nested(100_000))).toBe('nested deeper than 200 levels');
  });

  it('is not confused by a refusal before it', () => {
    const inner = {};
    expect(problemOf({ inner, run: () => 1 })).toBe('a function');
    expect(canonicalForm(inner)).toBe('o.');
  });
});

describe('hidden fields', () => {
  it('do not count, whatever they are called by', () => {
    const hidden = Object.defineProperties({ a: 1 }, { b: { value: 2 }, [Symbol('c')]: { value: 3 } });
    expect(canonicalForm(hidden)).toBe(canonicalForm({ a: 1 }));
  });
});

describe('what has no canonical form', () => {
  const cyclic: { self?: unknown } = {};
  cyclic.self = [cyclic];

  class Private {
    readonly #secret = 1;
    secret(): number {
      return this.#secret;
    }
  }

  it.each<[problem: string, value: unknown]>([
    ['a function', () => 1],
    ['a function', class Named { method(): void {} }],
    ['a symbol', Symbol('x')],
    ['a symbol', Symbol.for('x')],
    ['a cycle', cyclic],
    ['a promise', Promise.resolve(1)],
    // oxlint-disable-next-line unicorn/no-thenable -- what only looks like a promise is one
    ['a promise', new (class { then(): void {} })()],
    ['a stream', new ReadableStream()],
    ['a stream', (async function* () {})()],
    ['a stream', [].values()],
    ['a stream', new (class { subscribe(): void {} })()],
    ['an error', new Error('x')],
    ['an error', Object.assign(new RangeError('x'), { code: 1 })],
    ['a boxed primitive', Object('x')],
    ['a boxed primitive', Object(1)],
    ['an instance whose state cannot be seen', new Private()],
    ['an instance whose state cannot be seen', new WeakMap()],
    ['an instance whose state cannot be seen', new Blob(['a'])],
    ['an instance whose state cannot be seen', new Headers({ a: '1' })],
    ['an instance whose state cannot be seen', new URLSearchParams('a=1')],
    ['an instance whose state cannot be seen', new FormData()],
    ['an instance whose state cannot be seen', new AbortController().signal],
    ['an array with named fields', Object.assign(['a'], { extra: 1 })],
    ['an array with named fields', /a(?<b>.)/.exec('ab')],
    ['an object with symbol keys', { [Symbol('x')]: 1 }],
    ['a Date with fields of its own', Object.assign(new Date(0), { zone: 'UTC' })],
    ['a Map with fields of its own', Object.assign(new Map(), { name: 'm' })],
    ['a Set with fields of its own', Object.assign(new Set(), { name: 's' })],
    ['a RegExp with fields of its own', Object.assign(/a/, { name: 'r' })],
  ])('%s is refused (%#)', (problem, value) => {
    expect(problemOf(value)).toBe(problem);
    expect(problemOf({ a: [new Map([['k', value]])] })).toBe(problem);
  });

  it.each<[title: string, value: unknown]>([
    ['a long array', Array.from({ length: 1_000_001 })],
    ['an array of holes', Object.assign([], { length: 4_294_967_295 })],
    ['shared references that unfold', sharedReferenceBomb(60)],
  ])('%s of more than a million values is refused', (_title, value) => {
    expect(problemOf(value)).toBe('made of more than 250000 values');
  });

  it('passes on what a getter or a toJSON throws', () => {
    const thrown = new Error('from a getter');
    expect(() => canonicalForm({ get a(): never { throw thrown; } })).toThrow(thrown);
    expect(() => canonicalForm(new (class { toJSON(): never { throw thrown; } })())).toThrow(thrown);
  });
});

/** Why a value is refused; never what it holds. */
function problemOf(value: unknown): string | undefined {
  try {
    canonicalForm(value);
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error.problem;
    throw error;
  }
}
