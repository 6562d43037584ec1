import { createClient } from '@keyv/redis';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LlmCache, memoryStore } from 'nestjs-llm-cache';
import { redisStore } from '../../../lib/stores/redis/index.js';
import { askWhile, clockTroubles } from '../../fixtures/redis/clock-troubles.js';
import { askFor, entryTroubles, type SeenEntry } from '../../fixtures/redis/entry-troubles.js';
import { document, documented, entryTable, outageTable, recordedOn, unmeasured } from '../../fixtures/redis/outage-page.js';
import { play, TIMES, type Seen, type SetUp } from '../../fixtures/redis/outage-run.js';
import { outages } from '../../fixtures/redis/outages.js';
import { RedisServer } from '../../fixtures/redis/start-redis.js';
import { TcpProxy } from '../../fixtures/redis/tcp-proxy.js';
import { describeWithServers, freshNamespace, openServer, until } from '../../fixtures/redis/with-redis.js';

/** `npm run docs:outages`: docs/outages.md gets what is seen. Otherwise it is compared with that, but for the times. */
const isRecording = process.env['RECORD_OUTAGES'] === '1';
const STORE_TIMEOUT_MS = 250;

// Jest fails a test during which a rejection went unhandled or an exception uncaught: the process stays up.
describeWithServers('while Redis is in trouble', () => {
  const plays: Array<Promise<Record<SetUp, Seen>>> = [];

  // One at a time is broken and measured. What comes by itself afterwards is waited for together.
  beforeAll(async () => {
    // Its times would be those of loading and compiling the client.
    if (isRecording) await (await play(outages[0]!)).seen;
    for (const outage of outages) {
      const { seen } = await play(outage);
      seen.catch(() => undefined); // its test tells
      plays.push(seen);
    }
  }, 60_000);
  afterAll(async () => void (await Promise.allSettled(plays)));

  describe.each(outages.map((outage, index) => ({ ...outage, index })))('$trouble', ({ index, isFromTheStart, isShort, confirms, hangs }) => {
    it.each(['both', 'alone'] as const)('costs misses, and nothing wrong is served: memory and Redis (%s)', async (setUp) => {
      const seen = (await plays[index]!)[setUp];
      expect(seen.wrong).toEqual([]);
      expect(seen.isShared).toBe(true);
      expect(seen.different).toBe(TIMES);
      expect(seen.same).toBeLessThanOrEqual(setUp === 'both' ? 1 : TIMES);
      if (setUp === 'both') expect(seen.known).toBe(isFromTheStart ? undefined : isShort ? 1 : 0);
      expect(seen.unconfirmed).toEqual(Array.from({ length: 3 }, () => (confirms ? [] : ['redis'])));
      expect(seen.timeouts).toBe(hangs ? 1 : 0);
      expect(seen.firstMs).toBeLessThan((hangs ? STORE_TIMEOUT_MS : 0) + 2_000);
      expect(seen.thenMs).toBeLessThan(1_000);
      expect(seen.backMs).toBeLessThan(10_000);
    });
  });

  it('is on the page as it was seen', async () => {
    const seen = await Promise.all(plays);
    const table = outageTable(outages.map((outage, index) => [outage, seen[index]!.both]));
    if (isRecording) document('outages', `${table}\n\n${recordedOn(await versionOf())}`);
    expect(unmeasured(documented('outages'))).toEqual(unmeasured(table));
  });
});

describeWithServers('with a Redis that answers', () => {
  const redis = openServer();
  const lines: Array<readonly [string, number, string]> = [];

  it.each(entryTroubles)('$trouble in the place of an entry costs a miss', async (trouble) => {
    const seen: SeenEntry[] = [];
    for (const withMemory of [true, false]) seen.push(await askFor(trouble, redis.server.url, redis.client, withMemory, TIMES));
    const { counts } = trouble;
    const expected = { upstreamCalls: 1, wrong: [], rejected: Number(counts === 'rejected'), errors: Number(counts === 'errors') };
    expect(seen).toEqual([expect.objectContaining(expected), expect.objectContaining(expected)]);
    lines.push([trouble.trouble, seen[0]!.upstreamCalls, counts === 'errors' ? '`errors` of the tier' : `\`${counts}\``]);
  });

  it.each(clockTroubles)('$trouble: nothing wrong is served', async ({ trouble, byMs }) => {
    const seen = [];
    for (const withMemory of [true, false]) seen.push(await askWhile(byMs, redis.server.url, withMemory, TIMES));
    const upstreamCalls = byMs > 0 ? 1 : 0;
    // What was stored a year ago, by that clock, has expired once it is right.
    const expired = byMs > 0 ? 0 : 1;
    const expected = { upstreamCalls, afterwards: expired, fromMeanwhile: expired, wrong: [] };
    expect(seen).toEqual([expected, expected]);
    lines.push([trouble, upstreamCalls, upstreamCalls === 0 ? '`hits`' : '`misses`']);
  });

  it('each is on the page as it was seen', () => {
    const table = entryTable(lines);
    if (isRecording) document('entries', table);
    expect(documented('entries')).toBe(table);
  });

  it('that one process cannot reach: its memory serves what is invalidated elsewhere no longer than maxInvalidationDelay', async () => {
    const proxy = await TcpProxy.start(redis.server.port);
    const namespace = freshNamespace();
    const open = (url: string): LlmCache => new LlmCache({ stores: [memoryStore(), redisStore({ url, namespace })], maxInvalidationDelay: '300ms' });
    const [here, there] = [open(proxy.url), open(redis.server.url)];
    const ask = (cache: LlmCache, answer: string): Promise<string> => cache.wrap({ name: 'Invoices.explain', input: '' }, () => answer);
    await ask(here, 'old');
    proxy.cutsReplies = true;
    await here.wrap({ name: 'Invoices.other', input: '' }, () => 'cut', { noCache: true });
    await there.clear();
    const clearedAtMs = performance.now();
    await until(async () => (await ask(here, 'new')) === 'new');
    expect(performance.now() - clearedAtMs).toBeLessThan(2_000);
    proxy.cutsReplies = false;
    await Promise.all([here.close(), there.close()]);
    await proxy.stop();
  });
});

async function versionOf(): Promise<string> {
  const server = await RedisServer.start();
  const client = createClient({ url: server.url });
  await client.connect();
  const info = (await client.sendCommand(['INFO', 'server'])) as string;
  client.destroy();
  await server.stop();
  return /(?:redis|valkey)_version:(\S+)/.exec(info)![1]!;
}
