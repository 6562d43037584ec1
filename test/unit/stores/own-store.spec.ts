import { describe, expect, it } from '@jest/globals';
import { keyvOver, OWN_STORE, type OwnStoreAdapter, pack, unpack } from '../../../lib/stores/own-store.js';

describe('packed string', () => {
  const TEXTS = ['', 'x', '\n', '=1\nx', 'llm-cache/1 x\ny', '{"value":1}', '名\ud800', 'a\r\nb'];

  it.each(TEXTS.flatMap((text) => [undefined, 0, 1, 1_700_000_000_000].map((expiry) => [text, expiry] as const)))(
    'of %j, expiry %p, unpacks to both',
    (value, expiresAtMs) => {
      expect(unpack(pack(value, expiresAtMs))).toEqual({ value, expiresAtMs });
    },
  );

  it.each(['', 'x', '=', '=1', '{"value":"x"}', '"=1\n"', ' =1\nx', ':base64:AAAA'])('%j was not packed here', (text) => {
    expect(unpack(text)).toBeUndefined();
  });
});

class MapAdapter implements OwnStoreAdapter {
  readonly [OWN_STORE] = true;
  readonly name = 'map';
  readonly opts = { dialect: 'sqlite', url: 'map' };
  readonly map = new Map<string, unknown>();
  failing = false;

  async get<Value>(key: string): Promise<Value | undefined> {
    this.check();
    return this.map.get(key) as Value | undefined;
  }
  async set(key: string, value: unknown): Promise<boolean> {
    this.check();
    this.map.set(key, value);
    return true;
  }
  async delete(key: string): Promise<boolean> {
    this.check();
    return this.map.delete(key);
  }
  async clear(): Promise<void> {
    this.map.clear();
  }
  async *iterator<Value>(): AsyncGenerator<Array<string | Awaited<Value> | undefined>, void> {
    yield* [...this.map] as Array<[string, Awaited<Value>]>;
  }
  on(): this {
    return this;
  }
  inspect(): ReturnType<OwnStoreAdapter['inspect']> {
    return { entries: this.map.size, maxEntries: null, bytes: 0, maxBytes: null };
  }
  private check(): void {
    if (this.failing) throw new Error('disk full');
  }
}

describe('Keyv over an adapter of ours', () => {
  it('keeps a string as it is, behind its expiry, under the very key', async () => {
    const adapter = new MapAdapter();
    const keyv = keyvOver(adapter);
    await keyv.set('a:b', 'say "x"\n');
    expect([...adapter.map]).toEqual([['a:b', '=\nsay "x"\n']]);
    expect(await keyv.get('a:b')).toBe('say "x"\n');
  });

  it('keeps anything else the way every Keyv does', async () => {
    const adapter = new MapAdapter();
    const keyv = keyvOver(adapter);
    await keyv.set('k', { list: [1] });
    expect(await keyv.get('k')).toEqual({ list: [1] });
    expect(adapter.map.get('k')).toContain('{"value"');
  });

  it('reads what another Keyv wrote', async () => {
    const adapter = new MapAdapter();
    adapter.map.set('k', '{"value":"x"}');
    expect(await keyvOver(adapter).get('k')).toBe('x');
  });

  it('ends an entry on time', async () => {
    const adapter = new MapAdapter();
    const keyv = keyvOver(adapter);
    adapter.map.set('old', pack('x', Date.now() - 1));
    adapter.map.set('new', pack('y', Date.now() + 60_000));
    expect(await keyv.get('old')).toBeUndefined();
    expect(await keyv.get('new')).toBe('y');
  });

  it.each([
    ['without a namespace', ''],
    ['with one', 'app'],
  ])('%s lists the very keys that were set, less what has expired', async (_description, namespace) => {
    const keyv = keyvOver(new MapAdapter());
    keyv.namespace = namespace;
    const entries = ['llm:v1:key', 'key', ':'].map((key) => [key, `value of ${key}`] as const);
    for (const [key, value] of entries) await keyv.set(key, value);
    await keyv.set('old', 'value', -1);
    const listed: unknown[] = [];
    for await (const entry of keyv.iterator!({})) listed.push(entry);
    expect(listed).toEqual(entries);
    expect(await keyv.has('old')).toBe(false);
  });

  it.each(['get', 'set', 'delete'] as const)('throws what a failing %s throws, instead of hiding it', async (operation) => {
    const adapter = new MapAdapter();
    const keyv = keyvOver(adapter);
    adapter.failing = true;
    const attempt = operation === 'set' ? keyv.set('k', 'v') : keyv[operation]('k');
    await expect(attempt).rejects.toThrow('disk full');
  });
});
