import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Keyv } from 'keyv';
import { LlmCache, type LlmCacheEvent, type LlmCacheOptions, memoryStore } from 'nestjs-llm-cache';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import { EncryptedEntries } from '../../lib/stores/entry-format.js';
import { collect } from '../fixtures/streams.js';
import { troubledStore } from '../fixtures/stores.js';

const KEYS = { '2026-01': randomBytes(32).toString('base64'), '2026-02': randomBytes(32) };
const encryption = { current: '2026-01', keys: KEYS };
const secret = randomBytes(32);
const MARKED = ['MarkedPrompt', 'MarkedAnswer', 'MarkedTenant', 'MarkedTag', 'MarkedModel', 'MarkedName'];

let folder: string;
const caches: LlmCache[] = [];
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'llm-cache-'))));
afterEach(async () => {
  await Promise.all(caches.splice(0).map((llmCache) => llmCache.close()));
  await rm(folder, { recursive: true });
});

function open(options: LlmCacheOptions): LlmCache {
  const llmCache = new LlmCache(options);
  caches.push(llmCache);
  return llmCache;
}

const ask = (llmCache: LlmCache, answer = 'MarkedAnswer', scope = 'MarkedTenant'): Promise<string> =>
  llmCache.wrap({ name: 'MarkedName', input: 'MarkedPrompt', model: { model: 'MarkedModel' }, scope }, () => answer, { tags: ['MarkedTag'] });

/** The problems of entries that were not used. */
function problemsOf(llmCache: LlmCache): string[] {
  const problems: string[] = [];
  llmCache.on((event: LlmCacheEvent) => event.type === 'rejected' && problems.push(event.problem));
  return problems;
}

async function everythingIn(store: Keyv): Promise<string> {
  const entries: string[] = [];
  for await (const [key, value] of store.iterator!(undefined) as AsyncIterable<[string, unknown]>) entries.push(key, String(value));
  return entries.join('\n');
}

const sqlite = (): Keyv => sqliteStore({ path: join(folder, 'cache.db') });
const stores: Array<[string, () => Keyv]> = [['memoryStore', memoryStore], ['sqliteStore', sqlite]];

describe.each(stores)('at rest, in %s', (_name, makeStore) => {
  it('nothing shows: no prompt, answer, model, name, tag or tenant, in a key or in a value', async () => {
    const store = makeStore();
    const llmCache = open({ stores: store, secret, encryption });
    await ask(llmCache);
    await collect(llmCache.wrapStream({ name: 'MarkedName', input: 'MarkedPrompt stream', scope: 'MarkedTenant' }, async function* () {
      yield 'MarkedAnswer';
    }));
    const shown = await everythingIn(store);
    expect(shown.match(/llm-cache\/e1 2026-01 /g)).toHaveLength(2);
    for (const content of MARKED) expect(shown).not.toContain(content);
    for (const text of shown.match(/[\w-]{100,}/g)!) for (const content of MARKED) expect(Buffer.from(text, 'base64url').includes(content)).toBe(false);
  });

  it('without encryption it does, so the search above can find it', async () => {
    const store = makeStore();
    await ask(open({ stores: store, secret }));
    const shown = await everythingIn(store);
    expect(MARKED.filter((content) => shown.includes(content))).toEqual(['MarkedAnswer']);
  });

  it('is a hit for whoever has the key, with what it says of itself', async () => {
    const store = makeStore();
    await ask(open({ stores: store, secret, encryption }));
    const outcome = jest.fn();
    const llmCache = open({ stores: store, secret, encryption });
    const parts = { name: 'MarkedName', input: 'MarkedPrompt', model: { model: 'MarkedModel' }, scope: 'MarkedTenant' };
    expect(await llmCache.wrap(parts, () => 'never', { onOutcome: outcome })).toBe('MarkedAnswer');
    expect(outcome).toHaveBeenCalledWith(expect.objectContaining({ status: 'hit', savedMs: expect.any(Number), ageMs: expect.any(Number) }));
  });

  it('an older key of the ring still opens; what is written uses the current one', async () => {
    const store = makeStore();
    await ask(open({ stores: store, encryption }));
    const rotated = open({ stores: store, encryption: { ...encryption, current: '2026-02' } });
    expect(await ask(rotated, 'never')).toBe('MarkedAnswer');
    expect(await rotated.wrap({ name: 'new', input: 1 }, () => 'new')).toBe('new');
    expect((await everythingIn(store)).match(/llm-cache\/e1 \S+/g)!.sort()).toEqual(['llm-cache/e1 2026-01', 'llm-cache/e1 2026-02']);
    expect(rotated.stats()).toMatchObject({ hits: 1, misses: 1, rejected: 0 });
  });

  it.each<[what: string, written: LlmCacheOptions, read: LlmCacheOptions, problem: string]>([
    ['a key that is no longer in the ring', { encryption }, { encryption: { current: '2026-02', keys: { '2026-02': KEYS['2026-02'] } } }, 'unknown-key'],
    ['other bytes under the same name', { encryption }, { encryption: { current: '2026-01', keys: { '2026-01': randomBytes(32) } } }, 'damaged'],
    ['encryption switched on', {}, { encryption }, 'not-encrypted'],
    ['encryption switched off', { encryption }, {}, 'unknown-key'],
  ])('%s: a miss that is counted and told, then overwritten', async (_what, written, read, problem) => {
    const store = makeStore();
    await ask(open({ stores: store, ...written }));
    const llmCache = open({ stores: store, ...read });
    const problems = problemsOf(llmCache);
    expect(await ask(llmCache, 'new')).toBe('new');
    expect(await ask(llmCache, 'never')).toBe('new');
    expect(problems).toEqual([problem]);
    expect(llmCache.stats()).toMatchObject({ hits: 1, misses: 1, rejected: 1, stored: 1, errors: 0 });
  });
});

describe('an entry in the place of another', () => {
  it('does not open: of another tenant, of another question', async () => {
    const { keyv, entries } = troubledStore();
    const llmCache = open({ stores: keyv, secret, encryption });
    const problems = problemsOf(llmCache);
    const parts = [{ input: 1, scope: 'a' }, { input: 1, scope: 'b' }, { input: 2, scope: 'a' }].map(({ input, scope }) => ({ name: 'n', input, scope }));
    const keys = parts.map((each) => llmCache.keyFor(each));
    for (const each of parts) await llmCache.wrap(each, () => `for ${each.scope} ${each.input}`);
    const original = entries.get(keys[0]!);
    for (const [index, key] of keys.entries()) if (index > 0) entries.set(key, original);
    expect(await llmCache.wrap(parts[1]!, () => 'anew')).toBe('anew');
    expect(await llmCache.wrap(parts[2]!, () => 'anew')).toBe('anew');
    expect(await llmCache.wrap(parts[0]!, () => 'never')).toBe('for a 1');
    expect(problems).toEqual(['damaged', 'damaged']);
  });

  it('does not open with one byte flipped anywhere: each is a miss, no call fails', async () => {
    const { keyv, entries } = troubledStore();
    const llmCache = open({ stores: keyv, secret, encryption });
    const key = llmCache.keyFor({ name: 'n', input: 1 });
    let asked = 0;
    const call = (): Promise<number> => llmCache.wrap({ name: 'n', input: 1 }, () => ++asked);
    await call();
    const stored = entries.get(key) as string;
    const start = stored.indexOf('llm-cache/e1');
    const end = stored.indexOf('"', start); // Keyv's JSON around it
    for (let at = start; at < end; at += 7) {
      entries.set(key, `${stored.slice(0, at)}${stored[at] === 'A' ? 'B' : 'A'}${stored.slice(at + 1)}`);
      const before = asked;
      expect(await call()).toBe(before + 1);
    }
    const rounds = Math.ceil((end - start) / 7);
    expect(llmCache.stats()).toMatchObject({ hits: 0, misses: rounds + 1, rejected: rounds });
  });
});

describe('in memory', () => {
  it('an entry is opened once, not at each hit', async () => {
    const opened = jest.spyOn(EncryptedEntries.prototype, 'open');
    try {
      const llmCache = open({ secret, encryption });
      for (let call = 0; call < 5; call++) expect(await ask(llmCache)).toBe('MarkedAnswer');
      expect(opened).toHaveBeenCalledTimes(1);
    } finally {
      opened.mockRestore();
    }
  });

  it('what one app has opened is not open to another on the same store without its key', async () => {
    const store = memoryStore();
    const [own, plain, stranger] = [encryption, undefined, { current: 'x', keys: { x: randomBytes(32) } }].map((each) => open({ stores: store, encryption: each })) as [LlmCache, LlmCache, LlmCache];
    await ask(own);
    expect(await ask(own, 'never')).toBe('MarkedAnswer'); // opened, and kept open
    expect(await ask(plain, 'of the plain app')).toBe('of the plain app');
    expect(await ask(plain, 'never')).toBe('of the plain app');
    expect(await ask(stranger, 'of the stranger')).toBe('of the stranger');
    expect(await ask(own, 'own again')).toBe('own again');
  });
});

describe('the SQLite file', () => {
  const files = async (): Promise<string> => {
    const names = (await readdir(folder)).filter((name) => name.startsWith('cache.db'));
    expect(names).toContain('cache.db-wal');
    return (await Promise.all(names.map((name) => readFile(join(folder, name), 'latin1')))).join('');
  };

  it.each([
    ['with encryption nothing shows', { secret, encryption }, [] as string[]],
    ['with a secret alone the answer does', { secret }, ['MarkedAnswer']],
  ])('and its WAL: %s', async (_what, options, shown) => {
    const llmCache = open({ stores: sqlite(), ...options });
    for (let tenant = 0; tenant < 20; tenant++) await ask(llmCache, 'MarkedAnswer', `MarkedTenant ${tenant}`);
    await llmCache.invalidate({ scope: 'MarkedTenant 3', tags: ['MarkedTag'], name: 'MarkedName' });
    const bytes = await files();
    expect(bytes.includes('llm1k.llm.')).toBe(true);
    expect(MARKED.filter((content) => bytes.includes(content))).toEqual(shown);
  });
});

it('keys and secret show in nothing the cache prints, says or throws', async () => {
  const { keyv, entries } = troubledStore();
  const text = 'a secret of the app, thirty-two bytes long';
  const llmCache = open({ stores: keyv, secret: text, encryption });
  const told: unknown[] = [];
  llmCache.on((event) => told.push(event));
  await ask(llmCache);
  for (const key of entries.keys()) if (!key.includes('versions')) entries.set(key, 'broken');
  await ask(llmCache);
  const shown = inspect([llmCache, told, llmCache.stats()], { depth: Infinity, maxStringLength: Infinity, maxArrayLength: Infinity });
  const bytes = inspect(KEYS['2026-02']).slice(8, 30);
  for (const hidden of [text, KEYS['2026-01'], bytes]) expect(shown).not.toContain(hidden);
});
