import { createHmac, hash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { createCache } from 'cache-manager';
import { Keyv } from 'keyv';
import { Keyv as Keyv6 } from 'keyv-6';
import { type InvalidationTarget, LlmCache, LlmCacheConfigError, LlmCacheModule, type LlmCacheOptions, memoryStore } from 'nestjs-llm-cache';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import { LlmCacheTestingModule } from 'nestjs-llm-cache/testing';
import { canonicalForm } from '../../lib/key/canonical-form.js';
import { opened } from '../fixtures/apps.js';
import { troubledStore } from '../fixtures/stores.js';

const secret = randomBytes(32);
const other = randomBytes(32);
const parts = { name: 'Test.ask', input: 'my number is 078-05-1120', scope: 'acme' };
const options = { tags: ['invoices'] };

describe('who lists the store', () => {
  /** Everything that somebody who knows the question, but not the secret, could look for. */
  function guesses(): string[] {
    const { name, input, scope } = parts;
    const document = ['llm', name, scope, undefined, undefined, undefined, undefined, {}, input].map((part) => canonicalForm(part)).join('');
    const texts = [document, input, canonicalForm(input), scope, name, 'invoices', `scope string ${scope}`, `name string ${name}`, 'tag string invoices', 'namespace'];
    return texts.flatMap((text) => [hash('sha256', text, 'base64url'), createHmac('sha256', '').update(text).digest('base64url')]);
  }

  async function listed(given?: Uint8Array): Promise<string> {
    const { keyv, entries } = troubledStore();
    await new LlmCache({ stores: keyv, secret: given }).wrap(parts, () => 'an answer', options);
    return [...entries].join('\n');
  }

  it('can confirm a guessed question, tenant, name and tag where there is no secret', async () => {
    const shown = await listed();
    expect(guesses().filter((guess) => shown.includes(guess))).toHaveLength(4);
  });

  it('can confirm nothing where there is one', async () => {
    const shown = await listed(secret);
    expect(guesses().filter((guess) => shown.includes(guess))).toEqual([]);
  });
});

describe('two caches on one store', () => {
  const targets: Array<[string, InvalidationTarget | 'everything']> = [
    ['clear()', 'everything'],
    ['its tag', { tags: ['invoices'] }],
    ['its name', { name: 'Test.ask' }],
    ['its scope', { scope: 'acme' }],
    ['its parts', { key: parts }],
  ];
  const stores: Array<[string, () => LlmCacheOptions['stores']]> = [
    ['memory', memoryStore],
    ['a store of the caller', () => troubledStore().keyv],
  ];
  const remove = (llmCache: LlmCache, target: InvalidationTarget | 'everything'): Promise<void> => (target === 'everything' ? llmCache.clear() : llmCache.invalidate(target));
  const cases = stores.flatMap(([store, make]) => targets.map(([what, target]) => [what, store, make, target] as const));

  it.each(cases)('with the same secret share answers and invalidations: %s, %s', async (_what, _store, make, target) => {
    const shared = make();
    const [a, b] = [secret, Buffer.from(secret)].map((each) => new LlmCache({ stores: shared, secret: each })) as [LlmCache, LlmCache];
    await a.wrap(parts, () => 'old', options);
    expect(await b.wrap(parts, () => 'never', options)).toBe('old');
    await remove(a, target);
    expect(await b.wrap(parts, () => 'new', options)).toBe('new');
  });

  it.each(cases)('with different secrets, or one without, are apart: %s, %s', async (_what, _store, make, target) => {
    const shared = make();
    const all = [secret, other, undefined].map((each) => new LlmCache({ stores: shared, secret: each }));
    for (const [index, llmCache] of all.entries()) expect(await llmCache.wrap(parts, () => `of ${index}`, options)).toBe(`of ${index}`);
    await remove(all[0]!, target);
    expect(await Promise.all(all.map((llmCache) => llmCache.wrap(parts, () => 'new', options)))).toEqual(['new', 'of 1', 'of 2']);
  });

  it('a key of another secret, or of none, is refused', async () => {
    const [a, b, plain] = [secret, other, undefined].map((each) => new LlmCache({ secret: each })) as [LlmCache, LlmCache, LlmCache];
    expect(new Set([a, b, plain].map((llmCache) => llmCache.keyFor(parts))).size).toBe(3);
    await expect(a.invalidate({ key: plain.keyFor(parts) })).rejects.toThrow(LlmCacheConfigError);
    await expect(plain.invalidate({ key: a.keyFor(parts) })).rejects.toThrow(LlmCacheConfigError);
  });

  it('everything else is as without: coalescing, arguments that change while a store is read, explain', async () => {
    const { keyv, hold } = troubledStore();
    const llmCache = new LlmCache({ stores: keyv, secret });
    let asked = 0;
    const answers = await Promise.all([1, 2, 3].map(() => llmCache.wrap(parts, async () => ++asked)));
    expect(answers).toEqual([1, 1, 1]);
    expect(llmCache.stats()).toMatchObject({ misses: 1, coalesced: 2, stored: 1 });
    const gate = hold('get');
    const input = { text: 'before' };
    const changed = llmCache.wrap({ name: 'n', input }, () => input.text);
    input.text = 'after';
    gate.resolve();
    expect(await changed).toBe('after');
    expect(llmCache.stats()).toMatchObject({ stored: 1, refused: 1 });
    expect(llmCache.explain(parts, { ...parts, scope: 'b' })).toEqual([{ path: 'scope', kind: 'value' }]);
  });
});

describe('the warning at start-up', () => {
  let folder: string | undefined;
  afterEach(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true });
    folder = undefined;
  });

  const adapter = () => ({ get: () => undefined, set: () => true, delete: () => true, clear: () => undefined });
  const sqlite = async (): Promise<Keyv> => {
    folder = await mkdtemp(join(tmpdir(), 'llm-cache-'));
    return sqliteStore({ path: join(folder, 'cache.db') });
  };

  const nothing = (): void => undefined;
  const silent = { log: nothing, error: nothing, warn: nothing, debug: nothing, verbose: nothing };

  async function warningsOf(given: LlmCacheOptions, module: typeof LlmCacheModule | typeof LlmCacheTestingModule = LlmCacheModule): Promise<string[]> {
    const warnings: string[] = [];
    const moduleRef = await Test.createTestingModule({ imports: [module.forRoot({ pii: false, ...given })] })
      .setLogger({ ...silent, warn: (text: unknown, context: unknown) => void warnings.push(`${String(context)} ${String(text)}`) })
      .compile();
    opened(await moduleRef.init());
    return warnings;
  }

  const WARNING =
    /^LlmCache store (\d) may have other readers, and keys are plain SHA-256: whoever can list it can confirm a guessed prompt, tenant or tag\. Set the option `secret` \(at least 32 random bytes, the same in every process\)\.$/;

  it.each<[string, string, () => LlmCacheOptions['stores']]>([
    ['0', 'a storage adapter', adapter],
    ['0', 'a Keyv over one', () => new Keyv({ store: adapter() })],
    ['0', 'a Keyv 6 over one', () => new Keyv6({ store: adapter() as never }) as never],
    ['1', 'one behind memory', () => [memoryStore(), new Keyv({ store: adapter() })]],
    ['1', 'one in a cache-manager Cache', () => createCache({ stores: [memoryStore(), new Keyv({ store: adapter() })] })],
    ['0', 'the first of two', () => [adapter(), adapter()]],
  ])('comes once for store %s: %s', async (place, _what, make) => {
    const warnings = await warningsOf({ stores: make()! });
    expect(warnings).toEqual([expect.stringMatching(WARNING)]);
    expect(WARNING.exec(warnings[0]!)![1]).toBe(place);
  });

  it.each<[string, () => LlmCacheOptions | Promise<LlmCacheOptions>]>([
    ['no store', () => ({})],
    ['memoryStore', () => ({ stores: memoryStore() })],
    ['memoryStore in a cache-manager Cache', () => ({ stores: createCache({ stores: [memoryStore()] }) as never })],
    ['memoryStore inside a Keyv', () => ({ stores: new Keyv({ store: memoryStore().store as never }) })],
    ['sqliteStore', async () => ({ stores: [memoryStore(), await sqlite()] })],
    ['a Keyv of nothing', () => ({ stores: new Keyv() })],
    ['a Keyv 6 of nothing', () => ({ stores: new Keyv6() as never })],
    ['a Map', () => ({ stores: new Map() as never })],
    ['a Keyv over a Map', () => ({ stores: new Keyv(new Map()) })],
    ['a Keyv 6 over a Map', () => ({ stores: new Keyv6({ store: new Map() as never }) as never })],
    ['a secret', () => ({ stores: adapter(), secret })],
    ['the kill switch', () => ({ stores: adapter(), mode: 'off' })],
  ])('does not come with %s', async (_what, make) => {
    expect(await warningsOf(await make())).toEqual([]);
  });

  it('does not come in tests', async () => {
    expect(await warningsOf({ stores: adapter() }, LlmCacheTestingModule)).toEqual([]);
  });

  it('is an event too, for listeners that are there before the app has started', async () => {
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot({ stores: adapter(), pii: false })] }).setLogger(silent).compile();
    const types: string[] = [];
    moduleRef.get(LlmCache).on(({ type }) => types.push(type));
    opened(await moduleRef.init());
    expect(types).toEqual(['warning']);
  });
});
