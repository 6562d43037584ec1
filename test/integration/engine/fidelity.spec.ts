import { isDeepStrictEqual } from 'node:util';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Keyv } from 'keyv';
import { LlmCache, type LlmCacheEvent, memoryStore } from 'nestjs-llm-cache';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';

const withProto = JSON.parse('{"__proto__": {"polluted": true}, "a": 1}') as object;
// eslint-disable-next-line no-sparse-arrays
const sparse = [1, , 3];

const VALUES: Array<[string, unknown]> = [
  ['a string', 'text'],
  ['lone surrogates', ['\ud800', '\udfff x', 'ok 😀']],
  ['zero', 0],
  ['minus zero', -0],
  ['not a number', Number.NaN],
  ['infinities', [Infinity, -Infinity]],
  ['false', false],
  ['an empty list', []],
  ['an empty object', {}],
  ['a bigint', 2n ** 80n],
  ['a date', new Date('2026-11-23T06:30:00.123Z')],
  ['an invalid date', new Date(Number.NaN)],
  ['a map', new Map<unknown, unknown>([['a', 1], [{ k: 1 }, new Map()], [NaN, undefined]])],
  ['a set', new Set<unknown>([1, 'a', new Set([2])])],
  ['a regular expression', /a"b\\n/giu],
  ['a URL', new URL('https://user:pw@example.com/a?b=c#d')],
  ['a buffer', Buffer.from([0, 255, 128])],
  ['bytes', new Uint8Array([1, 2, 3]).subarray(1)],
  ['an embedding', Float32Array.from([0.1, -0, NaN, 1e30])],
  ['64-bit numbers', BigInt64Array.from([-1n, 2n ** 62n])],
  ['an array buffer', Uint8Array.from([1, 2]).buffer],
  ['undefined fields', { a: undefined, b: null, c: [undefined, null] }],
  ['a sparse list', sparse],
  ['an own __proto__ field', withProto],
  ['no prototype', Object.assign(Object.create(null) as object, { a: 1 })],
  ['what looks like a type tag', { $: ['date', 0], b: { $: { $: ['undefined'] } }, c: [{ $: 'x' }] }],
  ['a tag beside a date', { $: ['hole'], at: new Date(5), list: [{ $: ['hole'] }] }],
  ['a shared reference', (() => { const shared = { a: new Date(1) }; return { x: shared, y: [shared, shared] }; })()],
  ['everything nested', { list: [new Map([['d', { at: new Date(3), bytes: Buffer.from('x'), none: undefined }]])] }],
  ['an openai answer', { choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hi' } }], usage: { total_tokens: 3 } }],
];

/** Node 20 holds two invalid dates for different. */
function same(copy: unknown, value: unknown): boolean {
  return isDeepStrictEqual(copy, value) || (copy instanceof Date && value instanceof Date && String(copy) === String(value));
}

describe('a hit equals its miss', () => {
  let folder: string;
  beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'llm-cache-'))));
  afterAll(() => rm(folder, { recursive: true }));

  const stores = { memoryStore: () => memoryStore(), Keyv: () => new Keyv(), sqliteStore: () => sqliteStore({ path: join(folder, 'fidelity.db') }) };

  it.each(Object.entries(stores))('through %s', async (_, makeStore) => {
    const llmCache = new LlmCache({ stores: makeStore() });
    for (const [name, value] of VALUES) {
      const ask = (produce: () => unknown) => llmCache.wrap({ name, input: name }, produce);
      const [leader, follower] = await Promise.all([ask(() => value), ask(() => 'never')]);
      const hit = await ask(() => 'never');
      expect(leader).toBe(value);
      for (const copy of [follower, hit]) {
        if (!same(copy, value)) throw new Error(`${name} came back changed`);
        if (typeof copy === 'object') expect(copy).not.toBe(value);
      }
    }
    expect(llmCache.stats()).toMatchObject({ hits: VALUES.length, rejected: 0, refused: 0 });
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    await llmCache.close();
  });

  class Ticket {
    constructor(readonly title: string, readonly at: Date) {}
    get loud() {
      return this.title.toUpperCase();
    }
  }
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;

  it.each([
    ['a class instance', new Ticket('a', new Date(1)), 'an instance of Ticket'],
    ['a nested one', { list: [new Ticket('a', new Date(1))] }, 'an instance of Ticket'],
    ['a function', { run: () => 1 }, 'a function'],
    ['a symbol', [Symbol('s')], 'a symbol'],
    ['a cycle', cycle, 'a cycle'],
    ['a stream', (async function* () { yield 1; })(), 'an instance of'],
    ['an error', new Error('x'), 'an instance of Error'],
    ['a subclass of Map', new (class Special extends Map {})(), 'an instance of Special'],
    ['symbol keys', { [Symbol('k')]: 1 }, 'an object with symbol keys'],
    ['a list with fields', Object.assign([1], { extra: 1 }), 'an array with named fields'],
  ] as Array<[string, unknown, string]>)('%s is served, not stored, and one warning says why', async (_, value, why) => {
    const llmCache = new LlmCache();
    const warnings: LlmCacheEvent[] = [];
    llmCache.on((event) => event.type === 'warning' && warnings.push(event));
    for (let call = 1; call <= 3; call++) expect(await llmCache.wrap({ name: 'n', input: 1 }, () => value)).toBe(value);
    expect(llmCache.stats()).toMatchObject({ upstream: 3, stored: 0, refused: 3 });
    expect(warnings).toEqual([{ type: 'warning', message: expect.stringContaining(why) }]);
  });

  it('a caller may change what it got, miss or hit, without anybody noticing', async () => {
    const llmCache = new LlmCache();
    const ask = () => llmCache.wrap({ name: 'n', input: 1 }, () => ({ list: [1] }));
    for (let call = 0; call < 3; call++) {
      const answer = await ask();
      expect(answer).toEqual({ list: [1] });
      answer.list.push(2);
    }
  });

  it('an answer above maxEntryBytes is served, not stored', async () => {
    const llmCache = new LlmCache({ maxEntryBytes: 100 });
    const reasons: unknown[] = [];
    const onOutcome = ({ reason }: { reason?: string }) => reasons.push(reason);
    expect(await llmCache.wrap({ name: 'n', input: 1 }, () => 'é'.repeat(60), { onOutcome })).toHaveLength(60);
    await llmCache.wrap({ name: 'n', input: 2 }, () => 'e'.repeat(60), { onOutcome });
    expect(reasons).toEqual(['too-large', undefined]);
  });
});
