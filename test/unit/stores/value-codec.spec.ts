import { createContext, runInContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import { Refusal } from '../../../lib/key/canonical-form.js';
import { decodeValue, encodeValue } from '../../../lib/stores/value-codec.js';
import { nested, same, sharedReferenceBomb } from '../../fixtures/values.js';

const encode = (value: unknown): string => encodeValue(value, { flatten: false });
const roundTrip = (value: unknown): unknown => decodeValue(encode(value));

describe('value codec', () => {
  // V8 of Node 24 reads the second as the first where it trusts `JSON.parse` with such names.
  it.each(['"', '\n', '\u0000'])('gives back the field name %j after one with a backslash was read', (name) => {
    expect(Object.keys(roundTrip({ before: 1, '\\': 2 }) as object)).toEqual(['before', '\\']);
    JSON.parse('{"before":1,"\\\\":2}');
    expect(Object.keys(roundTrip({ before: 1, [name]: 2 }) as object)).toEqual(['before', name]);
  });

  it.each<[value: unknown, payload: string]>([
    ['x', 'j"x"'],
    [1.5, 'j1.5'],
    [true, 'jtrue'],
    [null, 'jnull'],
    [[1, ['a'], { b: null }], 'j[1,["a"],{"b":null}]'],
    [{ b: 1, a: 2 }, 'j{"b":1,"a":2}'],
    [undefined, 't{"$":["undefined"]}'],
    [-0, 't{"$":["number","-0"]}'],
    [Number.NaN, 't{"$":["number","NaN"]}'],
    [12n, 't{"$":["bigint","12"]}'],
    [{ $: 1 }, 't{"$":["escaped",{"$":1}]}'],
    [{ 'a"': 1, $: [] }, 't{"$":["fields",[["a\\"",1],["$",[]]]]}'],
    [Object.assign(Object.create(null) as object, { '\n': -0 }), 't{"$":["fields",[["\\n",{"$":["number","-0"]}]],"null-prototype"]}'],
    [new Date(5), 't{"$":["date",5]}'],
    [new Map([['a', 1]]), 't{"$":["map",[["a",1]]]}'],
    [new Set(['a']), 't{"$":["set",["a"]]}'],
    [Buffer.from([1, 2]), 't{"$":["bytes","Buffer","AQI="]}'],
    ['\ud800', 'j"\\ud800"'],
  ])('writes %p as %s: a storage format', (value, payload) => {
    expect(encode(value)).toBe(payload);
  });

  const expando = Object.assign(Object.create(null) as object, { a: Object.create(null) as object });
  it.each<[title: string, value: unknown]>([
    ['an invalid date', new Date(Number.NaN)],
    ['nested maps', new Map<unknown, unknown>([[new Map([[1, 2]]), new Set([new Map()])], [undefined, Number.NaN]])],
    ['a regular expression with flags', /a\/b\n[\]]/dgimsuy],
    ['a URL', new URL('https://a.test/p?q=%20#f')],
    ['every typed array', [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array].map((type) => type.of(1, 2, 3))],
    ['big integer arrays', [BigInt64Array.of(-1n), BigUint64Array.of(1n)]],
    ['a DataView', new DataView(Uint8Array.of(1, 2, 3).buffer, 1, 1)],
    ['an ArrayBuffer', Uint8Array.of(1, 2).buffer],
    ['empty bytes', [Buffer.alloc(0), new Uint8Array(), new ArrayBuffer(0)]],
    ['objects without prototype', expando],
    ['holes at both ends', Object.assign([], { 1: 'x', length: 3 })],
    ['only holes', Object.assign([], { length: 4 })],
    ['holes beside undefined', Object.assign([], { 1: undefined, length: 3 })],
    ['an own __proto__ field', JSON.parse('{"__proto__":{"__proto__":null,"a":{"$":[1]}},"constructor":1,"toString":2}')],
    ['all line ends', '\n\r\u2028\u2029\0"\\'],
    ['field names of every kind', { '': 1, '\ud800': 2, '"': 3, '10': 4, '9': 5, 'a b': 6 }],
    ['undefined fields', { a: undefined, b: { c: undefined } }],
    ['what looks like a type', { $: ['date', 1] }],
    ['what looks like a hole', [{ $: ['hole'] }, { a: { $: ['hole'] } }]],
    ['what looks like an escape', { $: ['escaped', { $: ['date', 1] }] }],
    ['what looks like an unknown type', { $: ['no such type', 1], other: true }],
    ['what looks like a type, where it is none', { $: 'date' }],
    ['types inside what looks like a type', { $: [new Date(1), { $: 1n }] }],
    ['types inside an escape inside a map', new Map([[{ $: 1 }, { $: [new Set([undefined])] }]])],
  ])('gives back %s', (_title, value) => {
    const back = roundTrip(value);
    expect(same(back, value)).toBe(true);
    expect(encode(back)).toBe(encode(value));
  });

  it('gives back where a regular expression had got to', () => {
    const sticky = /a/g;
    sticky.lastIndex = 3;
    expect((roundTrip(sticky) as RegExp).lastIndex).toBe(3);
  });

  it('gives back a view without the memory around it', () => {
    const back = roundTrip(Uint8Array.of(9, 1, 2, 9).subarray(1, 3)) as Uint8Array;
    expect(back).toEqual(Uint8Array.of(1, 2));
    expect(back.buffer.byteLength).toBe(2);
  });

  it('keeps bytes apart from the pool Node takes small buffers from', () => {
    const back = roundTrip(Buffer.from('secret')) as Buffer;
    expect(Buffer.isBuffer(back)).toBe(true);
    expect(back.buffer.byteLength).toBe(6);
  });

  it('pollutes nothing', () => {
    roundTrip(JSON.parse('{"__proto__":{"polluted":1},"a":{"constructor":{"prototype":{"polluted":1}}}}'));
    expect('polluted' in {}).toBe(false);
  });

  it('writes a shared reference twice and reads two values of their own', () => {
    const shared = { a: 1 };
    const back = roundTrip([shared, shared]) as Array<{ a: number }>;
    back[0]!.a = 2;
    expect(back[1]).toEqual({ a: 1 });
  });

  it('reads a fresh value each time', () => {
    const payload = encode({ list: [1] });
    (decodeValue(payload) as { list: number[] }).list.push(2);
    expect(decodeValue(payload)).toEqual({ list: [1] });
  });

  it('takes a plain object of another realm for a plain object', () => {
    expect(roundTrip(runInContext('({ a: { b: 1 } })', createContext()))).toStrictEqual({ a: { b: 1 } });
  });

  it('leaves hidden fields alone, whatever they are called by', () => {
    const call = Object.defineProperties({ toolName: 'search' }, { hidden: { value: 1 }, [Symbol('hidden')]: { value: 1 } });
    expect(roundTrip({ toolCalls: [call] })).toStrictEqual({ toolCalls: [{ toolName: 'search' }] });
  });

  class Ticket {
    constructor(readonly id: number) {}
  }
  class Money {
    readonly #cents = 5;
    toJSON(): unknown {
      return { cents: this.#cents };
    }
  }
  const cyclic: unknown[] = [];
  cyclic.push({ cyclic });

  it.each<[problem: string, value: unknown]>([
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a cycle', cyclic],
    ['nested deeper than 200 levels', nested(201)],
    ['made of more than 1000000 values', sharedReferenceBomb(60)],
    ['an array with named fields', Object.assign([1], { extra: 1 })],
    ['an array with named fields', /a(?<b>.)/.exec('ab')],
    ['an object with symbol keys', { [Symbol('x')]: 1 }],
    ['an instance of Ticket', new Ticket(1)],
    ['an instance of Money', new Money()],
    ['an instance of an unnamed class', new (class { method(): void {} })()],
    ['an instance of Error', new Error('x')],
    ['an instance of String', Object('x')],
    ['an instance of Promise', Promise.resolve(1)],
    ['an instance of WeakMap', new WeakMap()],
    ['an instance of Date', Object.assign(new Date(0), { zone: 'UTC' })],
    ['an instance of Moment', new (class Moment extends Date {})(0)],
    ['an instance of Registry', new (class Registry extends Map {})()],
    ['an instance of SharedArrayBuffer', new SharedArrayBuffer(1)],
  ])('refuses %s', (problem, value) => {
    const refuse = (given: unknown): void => void encode(given);
    expect(() => refuse(value)).toThrow(new Refusal(problem));
    if (problem.startsWith('an')) expect(() => refuse({ a: [new Map([[1, value]])] })).toThrow(new Refusal(problem));
  });

  it('holds 200 levels', () => {
    expect(roundTrip(nested(200))).toStrictEqual(nested(200));
  });

  it('writes instances as plain data where somebody revives them', () => {
    const flatten = (value: unknown): unknown => decodeValue(encodeValue(value, { flatten: true }));
    expect(flatten(new Ticket(1))).toStrictEqual({ id: 1 });
    expect(flatten({ price: new Money(), tickets: [new Ticket(2)] })).toStrictEqual({ price: { cents: 5 }, tickets: [{ id: 2 }] });
    expect(() => flatten(Promise.resolve(1))).toThrow(Refusal);
    expect(() => flatten(() => 1)).toThrow(Refusal);
  });

  it.each(['', 'x', 'j', 't', 'j{', 't{"$":["no such type"]}', 't{"$":["bytes","NoArray","AA=="]}', 't{"$":["bigint","x"]}', 't{"$":["url","x"]}', 't{"$":1}'])(
    'throws on %j, which it never wrote',
    (payload) => {
      expect(() => decodeValue(payload)).toThrow();
    },
  );
});
