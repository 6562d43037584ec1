import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, type OnApplicationShutdown, type OnModuleDestroy } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { createCache } from 'cache-manager';
import { Keyv } from 'keyv';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CacheLlm, LlmCache, LlmCacheModule, type LlmCacheOptions, memoryStore } from 'nestjs-llm-cache';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import { settled } from '../fixtures/deferred.js';

const LIB = fileURLToPath(new URL('../../lib/', import.meta.url));

@Injectable()
class Asker {
  calls = 0;

  @CacheLlm()
  async ask(question: string): Promise<string> {
    this.calls++;
    return `answer to ${question}`;
  }
}

function start(options: LlmCacheOptions): Promise<TestingModule> {
  return Test.createTestingModule({ imports: [LlmCacheModule.forRoot(options)], providers: [Asker] }).compile();
}

/** Sockets and pipes that keep the process alive. */
function handles(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => kind.includes('Wrap'));
}

/** The timers that code under test makes from here on; the process has others, of Jest's own. */
function watchTimers() {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  const pending = new Set<unknown>();
  let created = 0;
  globalThis.setTimeout = ((callback: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) => {
    created++;
    const timer = set(() => {
      pending.delete(timer);
      callback(...args);
    }, ms);
    pending.add(timer);
    return timer;
  }) as typeof globalThis.setTimeout;
  globalThis.clearTimeout = (timer) => {
    pending.delete(timer);
    clear(timer);
  };
  return {
    created: () => created,
    pending: () => pending.size,
    stop: () => Object.assign(globalThis, { setTimeout: set, clearTimeout: clear }),
  };
}

/** Writes of answers end when the test says so; those of versions at once. */
class SlowStore {
  readonly data = new Map<string, unknown>();
  readonly held: Array<() => void> = [];
  disconnected = 0;

  get = async (key: string): Promise<unknown> => this.data.get(key);
  delete = async (key: string): Promise<boolean> => this.data.delete(key);
  clear = async (): Promise<void> => this.data.clear();
  disconnect = async (): Promise<void> => void this.disconnected++;

  set = async (key: string, value: unknown): Promise<boolean> => {
    if (!key.includes('.versions')) await new Promise<void>((finish) => this.held.push(finish));
    this.data.set(key, value);
    return true;
  };
}

describe('app.close()', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llm-cache-'));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('closes the stores our factories made, with everything written', async () => {
    const path = join(folder, 'cache.db');
    const first = await start({ stores: [memoryStore(), sqliteStore({ path })] });
    await first.get(Asker).ask('a');
    await first.close();
    const second = await start({ stores: [memoryStore(), sqliteStore({ path })] });
    expect(await second.get(Asker).ask('a')).toBe('answer to a');
    expect(second.get(Asker).calls).toBe(0);
    await second.close();
  });

  it('leaves a caller\'s Keyv and Cache to their owner', async () => {
    const keyv = new Keyv({ store: new SlowStore() });
    const inner = sqliteStore({ path: join(folder, 'theirs.db') });
    const cache = createCache({ stores: [inner] });
    const disconnects = [jest.spyOn(keyv, 'disconnect'), jest.spyOn(inner, 'disconnect'), jest.spyOn(cache, 'disconnect')];
    await (await start({ stores: keyv })).close();
    await (await start({ stores: cache })).close();
    for (const disconnect of disconnects) expect(disconnect).not.toHaveBeenCalled();
    expect((keyv.store as SlowStore).disconnected).toBe(0);
    await inner.set('still', 'open');
    expect(await inner.get('still')).toBe('open');
    await inner.disconnect();
  });

  it('waits for writes under way', async () => {
    const store = new SlowStore();
    const app = await start({ stores: store, storeTimeout: '10s' });
    const answer = app.get(Asker).ask('a');
    await settled();
    expect(store.held).toHaveLength(1);
    let closed = false;
    const closing = app.close().then(() => (closed = true));
    await settled();
    expect(closed).toBe(false);
    store.held[0]!();
    await closing;
    expect(await answer).toBe('answer to a');
    expect([...store.data.values()].some((text) => String(text).includes('answer to a'))).toBe(true);
  });

  it('does not wait longer than storeTimeout for a store that hangs', async () => {
    const store = new SlowStore();
    const app = await start({ stores: store, storeTimeout: '20ms' });
    const asker = app.get(Asker);
    const answer = asker.ask('a');
    await settled();
    expect(store.held).toHaveLength(1);
    const startedAt = performance.now();
    await app.close();
    expect(await answer).toBe('answer to a');
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  it('leaves no timer and no socket behind', async () => {
    const timers = watchTimers();
    const before = handles();
    const app = await start({ stores: [memoryStore(), sqliteStore({ path: join(folder, 'cache.db') }), new Keyv()] });
    await app.init();
    await Promise.all([app.get(Asker).ask('a'), app.get(Asker).ask('a'), app.get(Asker).ask('b')]);
    expect(timers.created()).toBeGreaterThan(0);
    await app.close();
    await new Promise(setImmediate);
    timers.stop();
    expect(timers.pending()).toBe(0);
    expect(handles()).toEqual(before);
  });

  it('comes after other modules\' shutdown hooks, which still find the cache', async () => {
    const seen: string[] = [];
    @Injectable()
    class Reporter implements OnModuleDestroy, OnApplicationShutdown {
      constructor(private readonly asker: Asker) {}

      async onModuleDestroy(): Promise<void> {
        await this.asker.ask('a');
        seen.push(`destroy ${this.asker.calls}`);
      }

      async onApplicationShutdown(): Promise<void> {
        await this.asker.ask('a');
        seen.push(`shutdown ${this.asker.calls}`);
      }
    }
    const app = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Asker, Reporter] }).compile();
    await app.init();
    await app.get(Asker).ask('a');
    await app.close();
    expect(seen).toEqual(['destroy 1', 'shutdown 1']);
  });

  it('can be called twice', async () => {
    const app = await start({ stores: sqliteStore({ path: join(folder, 'cache.db') }) });
    await app.get(Asker).ask('a');
    await app.close();
    await expect(app.close()).resolves.toBeUndefined();
  });
});

describe('start-up', () => {
  it('touches no store, so one that hangs does not hold it up', async () => {
    const touches: string[] = [];
    const hang = (operation: string) => (): Promise<never> => {
      touches.push(operation);
      return new Promise(() => undefined);
    };
    const store = { get: hang('get'), set: hang('set'), delete: hang('delete'), clear: hang('clear') };
    const app = await start({ stores: store, storeTimeout: '1ms' });
    await app.init();
    expect(touches).toEqual([]);
    expect(await app.get(Asker).ask('a')).toBe('answer to a');
    await app.close();
  });

  it('reads no environment variable of its own', async () => {
    const read: string[] = [];
    const { env } = process;
    process.env = new Proxy(env, {
      get(target, name) {
        const from = new Error().stack ?? '';
        if (typeof name === 'string' && from.split('\n')[2]?.includes(LIB)) read.push(name);
        return Reflect.get(target, name) as unknown;
      },
    });
    try {
      const app = await start({});
      await app.get(Asker).ask('a');
      await app.close();
    } finally {
      process.env = env;
    }
    expect(read).toEqual([]);
  });

  it('LlmCache is closed with the module: later calls run uncached', async () => {
    const app = await start({});
    const llmCache = app.get(LlmCache);
    await app.close();
    const outcomes: unknown[] = [];
    await llmCache.wrap({ name: 'n', input: 1 }, () => 1, { onOutcome: ({ status }) => outcomes.push(status) });
    expect(outcomes).toEqual(['bypass']);
  });
});
