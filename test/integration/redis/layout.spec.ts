import { beforeEach, describe, expect, it } from '@jest/globals';
import { LlmCache } from '../../../lib/engine/llm-cache.js';
import { pack } from '../../../lib/stores/own-store.js';
import { adapterOf, describeWithServers, openServer, openStores } from '../../fixtures/redis/with-redis.js';

describeWithServers('what redisStore leaves in Redis', () => {
  const redis = openServer();
  const open = openStores();

  beforeEach(() => redis.client.sendCommand(['FLUSHALL']));

  /** Every key with its type, value and time to live. */
  async function everything(): Promise<Record<string, unknown>> {
    const keys = (await redis.client.keys('*')).sort();
    return Object.fromEntries(
      await Promise.all(keys.map(async (key) => [key, [await redis.client.sendCommand(['DUMP', key], { typeMapping: { 36: Buffer } }), await redis.client.pExpireTime(key)]] as const)),
    );
  }

  describe('keys', () => {
    it.each([
      ['llm-cache', undefined],
      ['tickets', 'tickets'],
      ['o*?[', 'o*?['],
      ['%7bx%7d', '{x}'],
      ['a%25b', 'a%b'],
      ['a%3ab', 'a:b'],
      ['日本\n', '日本\n'],
      ['%d800', '\ud800'],
    ])('begin with %s for the namespace %j', async (prefix, namespace) => {
      const store = open({ url: redis.server.url, ...(namespace === undefined ? {} : { namespace }) });
      await store.set('key', 'value');
      await adapterOf(store).coordination.counts(['count']);
      expect((await redis.client.keys('*')).sort()).toEqual([`${prefix}:count`, `${prefix}:key`]);
      await store.clear();
      expect(await redis.client.keys('*')).toEqual([]);
    });

    it('has the namespace of the Keyv below its own', async () => {
      const store = open({ url: redis.server.url });
      store.namespace = 'mine';
      await store.set('key', 'value');
      expect(await redis.client.keys('*')).toEqual(['llm-cache:mine:key']);
      expect(await store.get('key')).toBe('value');
    });

    it('is no prefix of a key that is not Unicode: those are not kept', async () => {
      const store = open({ url: redis.server.url });
      expect(await store.set('\ud800', 'one')).toBe(false);
      expect(await store.get('\udfff')).toBeUndefined();
      expect(await redis.client.keys('*')).toEqual([]);
    });
  });

  describe('values', () => {
    it('expire on the server', async () => {
      const store = open({ url: redis.server.url });
      await store.set('short', 'value', 10_000);
      await store.set('fraction', 'value', 0.4);
      await store.set('for ever', 'value', 0);
      await store.set('longer than Redis can count', 'value', 1e17);
      const left = await redis.client.pTTL('llm-cache:short');
      expect(left).toBeGreaterThan(8_000);
      expect(left).toBeLessThanOrEqual(10_000);
      expect(await redis.client.pTTL('llm-cache:for ever')).toBe(-1);
      expect(await redis.client.pTTL('llm-cache:longer than Redis can count')).toBe(-1);
    });

    it('are the same by either way', async () => {
      const store = open({ url: redis.server.url });
      const { direct } = adapterOf(store);
      await store.set('by Keyv', 'naïve Ω');
      await direct.set('directly', 'naïve Ω', 60_000);
      await direct.set('for ever', '', undefined);
      expect(await direct.getMany(['by Keyv', 'directly', 'missing', 'for ever'])).toEqual(['naïve Ω', 'naïve Ω', undefined, '']);
      expect(await store.getMany(['by Keyv', 'directly', 'missing', 'for ever'])).toEqual(['naïve Ω', 'naïve Ω', undefined, '']);
      expect(await redis.client.pTTL('llm-cache:directly')).toBeGreaterThan(50_000);
    });

    it('are not read whole where they are far too long for one', async () => {
      await redis.client.set('llm-cache:key', 'x'.repeat(1_000));
      const { direct } = adapterOf(open({ url: redis.server.url }));
      expect(await direct.get('key', 99)).toBe('x'.repeat(100));
      expect(await direct.getMany(['key', 'missing'], 99)).toEqual(['x'.repeat(100), undefined]);
    });

    it.each([
      ['JSON', '{"value":"x"}'],
      ['no JSON', 'hello'],
      ['nothing', ''],
      ['a packed text without our mark', pack('x', undefined)],
      ['an unknown mark', Buffer.from([0xfe, 0x09, 0x41])],
      ['bytes that are no Unicode', Buffer.from([0xff, 0xff])],
    ])('of others are texts that are no entries: %s', async (_description, bytes) => {
      await redis.client.set('llm-cache:key', bytes);
      const store = open({ url: redis.server.url });
      expect(await store.get('key')).toBe(bytes.toString());
      expect(await adapterOf(store).direct.get('key')).toBe(bytes.toString());
    });

    it('of others are misses for a cache, and are overwritten', async () => {
      const store = open({ url: redis.server.url });
      const llmCache = new LlmCache({ stores: store });
      const ask = () => llmCache.wrap({ name: 'answer', input: 'question' }, async () => 'forty-two');
      await ask();
      const key = `llm-cache:${llmCache.keyFor({ name: 'answer', input: 'question' })}`;
      expect(await redis.client.exists(key)).toBe(1);
      await redis.client.set(key, 'garbage');
      const again = new LlmCache({ stores: open({ url: redis.server.url }) });
      expect(await again.wrap({ name: 'answer', input: 'question' }, async () => 'anew')).toBe('anew');
      expect(again.stats().tiers[0]).toMatchObject({ errors: 0 });
    });
  });

  describe('clear and iterator', () => {
    const foreign = ['other-app:session', 'o', 'o*?[', 'oXYZ[:key', 'o*?[x:key', 'O*?[:key', '{o*?[}:key', 'o*?:key', '\\o*?[:key', 'llm-cache:key'];

    it('touch nothing of another app, whatever the namespace', async () => {
      for (const key of foreign) await redis.client.set(key, `value of ${key}`, { expiration: { type: 'EX', value: 1_000 } });
      await redis.client.hSet('bull:queue:1', 'field', 'value');
      await redis.client.rPush('o*?[ :list', ['value']);
      const others = ['o', 'o*', '*', 'o*?[:', 'o*?[:key'].map((namespace) => open({ url: redis.server.url, namespace }));
      for (const other of others) await other.set('key', 'of another store');
      const before = await everything();

      const store = open({ url: redis.server.url, namespace: 'o*?[' });
      await store.set('key', 'value');
      await store.set('key:deeper', 'value');
      await adapterOf(store).coordination.increase('count', undefined);
      const listed: Record<string, unknown> = {};
      for await (const [key, value] of store.iterator!('') as AsyncIterable<[string, unknown]>) listed[key] = value;
      expect(listed).toEqual({ key: 'value', 'key:deeper': 'value' });
      expect(Object.keys(await everything())).toHaveLength(Object.keys(before).length + 3);
      await store.clear();
      expect(await everything()).toEqual(before);
    });

    it('stay within the namespace of the Keyv', async () => {
      const [mine, all] = [open({ url: redis.server.url }), open({ url: redis.server.url })];
      mine.namespace = 'a*';
      await mine.set('key', 'mine');
      await all.set('ab:key', 'other');
      const listed: unknown[] = [];
      for await (const entry of mine.iterator!('')) listed.push(entry);
      expect(listed).toEqual([['key', 'mine']]);
      await mine.clear();
      expect(await all.get('ab:key')).toBe('other');
      expect(await redis.client.keys('*')).toEqual(['llm-cache:ab:key']);
    });

    it('go through more than a page, past lists and hashes', async () => {
      const store = open({ url: redis.server.url });
      const keys = Array.from({ length: 2_500 }, (_, index) => `key ${index}`);
      await Promise.all(keys.map((key) => store.set(key, 'value')));
      await redis.client.rPush('llm-cache:list', ['value']);
      const listed = new Set<string>();
      for await (const [key] of store.iterator!('') as AsyncIterable<[string, unknown]>) listed.add(key);
      expect(listed.size).toBe(2_500);
      await store.clear();
      expect(await redis.client.dbSize()).toBe(0);
    });
  });
});
