import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { createClient } from '@keyv/redis';
import { attachLlmCache, CacheLlm, LlmCache } from 'nestjs-llm-cache';
import { redisStore } from '../../../lib/stores/redis/index.js';
import { deferred } from '../../fixtures/deferred.js';
import { RedisServer } from '../../fixtures/redis/start-redis.js';
import { describeWithServers, until } from '../../fixtures/redis/with-redis.js';

type Ask = (upstream: () => Promise<string>) => Promise<unknown>;

/** Longer than the versions of a call are believed: whatever ends then looks into Redis. */
const UNBELIEVED_MS = 20;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describeWithServers('an app that is closed while calls are under way', () => {
  let server: RedisServer;
  let admin: ReturnType<typeof createClient>;
  let cache: LlmCache;

  beforeEach(async () => {
    server = await RedisServer.start();
    admin = createClient({ url: server.url });
    await admin.connect();
    cache = new LlmCache({ stores: redisStore({ url: server.url }), maxInvalidationDelay: UNBELIEVED_MS });
  });
  afterEach(async () => {
    await cache.close();
    admin.destroy();
    await server.stop();
  });

  const connections = async (): Promise<number> => (await admin.clientList()).length - 1;

  const key = { name: 'Test.ask', input: 'question' };
  const wrapped: Ask = (upstream) => cache.wrap(key, upstream);
  const streamed: Ask = async (upstream) => {
    const stream = cache.wrapStream(key, async function* () {
      yield await upstream();
    });
    const reader = stream[Symbol.asyncIterator]();
    while (!(await reader.next()).done) continue;
  };
  const left: Ask = (upstream) => {
    const leave = new AbortController();
    const asked = cache.wrap(key, () => (leave.abort(), upstream()), { signal: leave.signal });
    return asked.catch(() => undefined);
  };
  const undeclared: Ask = (upstream) => {
    class Asker {
      @CacheLlm({ name: 'undeclared' })
      ask() {
        return upstream();
      }
    }
    return attachLlmCache(new Asker(), cache).ask();
  };

  it.each<[string, Ask]>([
    ['a call', wrapped],
    ['a stream', streamed],
    ['a call whose caller has left, though upstream goes on', left],
    ['the first call of a method that does not declare what it returns', undeclared],
  ])('leaves no connection open once %s has ended', async (_description, ask) => {
    const upstream = deferred<string>();
    let isAsked = false;
    const asked = ask(() => ((isAsked = true), upstream.promise));
    await until(() => isAsked);
    await until(async () => (await connections()) === 2);
    await cache.close();
    await until(async () => (await connections()) === 0); // the server may hear of it a moment later
    await pause(UNBELIEVED_MS);
    upstream.resolve('answer');
    await asked;
    await pause(100); // a stream's answer, or one that nobody waits for, is looked at after that
    expect(await connections()).toBe(0);
  });
});
