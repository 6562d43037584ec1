import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import type { LlmCacheStats } from 'nestjs-llm-cache';
import request from 'supertest';
import { RedisServer } from '../fixtures/redis/start-redis.js';
import { describeWithServers } from '../fixtures/redis/with-redis.js';
import { post, SampleApp } from './sample-app.js';

const TICKET = 'I was charged twice for my last order. Please pay one of them back.';
const OTHER_TICKET = 'The dashboard is down. It has been since this morning.';

describe('sample app', () => {
  let sample: SampleApp;
  let app: INestApplication;

  beforeEach(async () => {
    sample = await SampleApp.prepare();
    app = await sample.start();
  });

  afterEach(() => sample.close());

  const summary = (ticket: string, headers?: Record<string, string>): request.Test =>
    post(app, '/tickets/summary', { ticket }, headers);

  describe('POST /tickets/summary', () => {
    it('asks the LLM once for the same ticket', async () => {
      const first = await summary(TICKET).expect(200).expect('X-LLM-Cache', 'miss');
      const second = await summary(TICKET).expect(200).expect('X-LLM-Cache', 'hit');
      expect(first.body).toEqual({ summary: 'The customer writes: I was charged twice for my last order.' });
      expect(second.body).toEqual(first.body);
      expect(sample.upstreamCalls).toBe(1);
    });

    it('sends the model configuration of the module and of the decorator', async () => {
      await summary(TICKET).expect(200);
      expect(sample.llm.getLastRequest()?.body).toMatchObject({ model: 'test-model', temperature: 0, max_tokens: 120 });
    });

    it('keeps two tickets apart', async () => {
      const first = await summary(TICKET).expect(200);
      const second = await summary(OTHER_TICKET).expect(200).expect('X-LLM-Cache', 'miss');
      expect(second.body).not.toEqual(first.body);
      expect(sample.upstreamCalls).toBe(2);
    });

    it('makes one upstream call for 50 concurrent callers', async () => {
      const responses = await Promise.all(Array.from({ length: 50 }, () => summary(TICKET).expect(200)));
      expect(new Set(responses.map(({ text }) => text)).size).toBe(1);
      expect(responses.filter(({ headers }) => headers['x-llm-cache'] === 'miss')).toHaveLength(1);
      expect(sample.upstreamCalls).toBe(1);
    });

    it('passes an upstream failure on, and does not store it', async () => {
      sample.llm.nextRequestError(500, { message: `cannot answer: ${TICKET}` });
      const failure = await summary(TICKET).expect(502);
      expect(failure.body).toMatchObject({ message: 'The LLM answered with status 500.' });
      expect(failure.text).not.toContain(TICKET);
      await summary(TICKET).expect(200).expect('X-LLM-Cache', 'miss');
      expect(sample.upstreamCalls).toBe(2);
    });

    it('answers 502 when the LLM cannot be reached', async () => {
      await sample.stopLlm();
      await summary(TICKET).expect(502, /could not be reached/);
    });
  });

  describe('POST /tickets/triage', () => {
    const triage = (ticket: string): request.Test => post(app, '/tickets/triage', { ticket });

    it('answers with the same JSON on a hit as on a miss', async () => {
      const first = await triage(TICKET).expect(200).expect('X-LLM-Cache', 'miss');
      const second = await triage(TICKET).expect(200).expect('X-LLM-Cache', 'hit');
      expect(first.body).toEqual({ priority: 'high', category: 'billing', needsHuman: true });
      expect(second.body).toEqual(first.body);
      expect(sample.upstreamCalls).toBe(1);
    });

    it('has an entry of its own beside the summary of the same ticket', async () => {
      await summary(TICKET).expect(200);
      await triage(TICKET).expect(200).expect('X-LLM-Cache', 'miss');
    });

    it.each(['I would say billing.', '{"priority":"urgent","category":"billing","needsHuman":true}', 'null'])(
      'answers 502 to %s, and asks again the next time',
      async (content) => {
        sample.llm.prependFixture({ match: { endpoint: 'chat', sequenceIndex: 0 }, response: { content } });
        await triage(TICKET).expect(502, /did not answer with a triage/);
        await triage(TICKET).expect(200).expect('X-LLM-Cache', 'miss');
      },
    );
  });

  describe('POST /ask', () => {
    it('answers a question, the second time from the cache', async () => {
      const ask = (): request.Test => post(app, '/ask', { question: 'What is the capital of Japan?' });
      await ask().expect(200, { answer: 'Tokyo.' }).expect('X-LLM-Cache', 'miss');
      await ask().expect(200, { answer: 'Tokyo.' }).expect('X-LLM-Cache', 'hit');
    });
  });

  describe('a bad body', () => {
    it.each([
      ['no ticket', {}],
      ['an empty ticket', { ticket: '' }],
      ['white space', { ticket: ' \n\t ' }],
      ['a number', { ticket: 7 }],
      ['null', { ticket: null }],
      ['an array', { ticket: ['a'] }],
      ['an object', { ticket: { text: 'a' } }],
      ['an array as body', ['a ticket']],
    ])('is a 400 that says what is needed: %s', async (_case, body) => {
      for (const path of ['/tickets/summary', '/tickets/triage']) {
        const response = await post(app, path, body).expect(400);
        expect(response.body).toMatchObject({ message: 'The body needs "ticket", a text that is not empty.' });
      }
      expect(sample.upstreamCalls).toBe(0);
    });

    it('is a 400 when it is missing, or no JSON, or too long', async () => {
      const http = request(app.getHttpServer());
      await http.post('/tickets/summary').expect(400, /needs \\"ticket\\"/);
      await http.post('/tickets/summary').type('json').send('{"ticket":').expect(400);
      await summary('x'.repeat(20_001)).expect(400, /at most 20000 characters/);
      expect(sample.upstreamCalls).toBe(0);
    });
  });

  describe('Cache-Control of the request', () => {
    it('only-if-cached: 504 for a miss, the stored answer for a hit', async () => {
      const onlyIfCached = { 'Cache-Control': 'only-if-cached' };
      await summary(TICKET, onlyIfCached).expect(504, /No stored answer/);
      expect(sample.upstreamCalls).toBe(0);
      const first = await summary(TICKET).expect(200);
      const stored = await summary(TICKET, onlyIfCached).expect(200).expect('X-LLM-Cache', 'hit');
      expect(stored.body).toEqual(first.body);
      expect(sample.upstreamCalls).toBe(1);
    });

    it('no-cache: asks again, and stores the new answer', async () => {
      await summary(TICKET).expect(200);
      await summary(TICKET, { 'Cache-Control': 'No-Cache, foo=bar' }).expect(200).expect('X-LLM-Cache', 'miss');
      expect(sample.upstreamCalls).toBe(2);
      await summary(TICKET).expect(200).expect('X-LLM-Cache', 'hit');
    });

    it('no-store: may be answered from the cache, and stores nothing', async () => {
      const noStore = { 'Cache-Control': 'no-store' };
      await summary(TICKET, noStore).expect(200).expect('X-LLM-Cache', 'miss');
      await summary(TICKET, noStore).expect(200).expect('X-LLM-Cache', 'miss');
      await summary(TICKET).expect(200).expect('X-LLM-Cache', 'miss');
      await summary(TICKET, noStore).expect(200).expect('X-LLM-Cache', 'hit');
      expect(sample.upstreamCalls).toBe(3);
    });
  });

  describe('/llm-cache', () => {
    const stats = async (): Promise<LlmCacheStats> => {
      const { body } = await request(app.getHttpServer()).get('/llm-cache').expect(200);
      return body as LlmCacheStats;
    };

    it('GET tells what was spent and saved, and how full the stores are', async () => {
      await summary(TICKET).expect(200);
      await summary(TICKET).expect(200);
      const { hits, upstream, errors, tokens, tiers } = await stats();
      expect({ hits, upstream, errors }).toEqual({ hits: 1, upstream: 1, errors: 0 });
      expect(tokens.saved).toBe(tokens.spent);
      expect(tokens.spent).toBeGreaterThan(0);
      expect(tiers.map(({ name }) => name)).toEqual(['memory', 'sqlite']);
    });

    it('shows nothing of tickets and answers', async () => {
      await summary(TICKET).expect(200);
      expect(JSON.stringify(await stats())).not.toMatch(/charged|customer/);
    });

    it('DELETE empties the cache', async () => {
      await summary(TICKET).expect(200);
      await request(app.getHttpServer()).delete('/llm-cache').expect(204, '');
      await summary(TICKET).expect(200).expect('X-LLM-Cache', 'miss');
      expect(sample.upstreamCalls).toBe(2);
    });
  });

  it('GET /health is up, and shows every store', async () => {
    const { body } = await request(app.getHttpServer()).get('/health').expect(200);
    expect(body).toMatchObject({
      status: 'ok',
      details: { llmCache: { status: 'up', degraded: false, tiers: [{ name: 'memory' }, { name: 'sqlite', breaker: 'closed', errors: 0 }] } },
    });
  });

  describe('when it ends', () => {
    it('has its answers again after a start on the same file, without an upstream call', async () => {
      const first = await summary(TICKET).expect(200);
      await app.close();
      app = await sample.start();
      const second = await summary(TICKET).expect(200).expect('X-LLM-Cache', 'hit');
      expect(second.body).toEqual(first.body);
      expect(sample.upstreamCalls).toBe(1);
    });

    it('does not have what was cleared', async () => {
      await summary(TICKET).expect(200);
      await request(app.getHttpServer()).delete('/llm-cache').expect(204);
      await app.close();
      app = await sample.start();
      await summary(TICKET).expect(200).expect('X-LLM-Cache', 'miss');
    });

    it('keeps the answer that was under way', async () => {
      const { asked, answer } = sample.holdAnswer();
      const response = summary(TICKET).then(({ body }: request.Response) => body as unknown); // only waiting sends it
      await asked;
      const closed = app.close();
      answer('A held answer.');
      expect(await response).toEqual({ summary: 'A held answer.' });
      await closed;
      expect(await sample.unfinishedWrites()).toBe(0);
      app = await sample.start();
      await summary(TICKET).expect(200, { summary: 'A held answer.' }).expect('X-LLM-Cache', 'hit');
    });

    it('leaves nothing open, in this process or in the folder', async () => {
      await sample.close();
      const before = await openResources();
      sample = await SampleApp.prepare();
      app = await sample.start();
      await Promise.all([summary(TICKET), summary(OTHER_TICKET), post(app, '/tickets/triage', { ticket: TICKET })]);
      await app.close();
      expect(await sample.unfinishedWrites()).toBe(0);
      await sample.stopLlm();
      expect(await openResources()).toEqual(before);
    });

    it('stops the canned LLM that it started itself', async () => {
      await sample.close();
      const before = await openResources();
      sample = await SampleApp.prepare();
      // Nobody's Ollama has this model, so the answers are canned on every machine.
      app = await sample.start({ LLM_BASE_URL: '', LLM_MODEL: 'no-such-model' });
      await post(app, '/ask', { question: 'What is the capital of Japan?' }).expect(200, { answer: 'Tokyo.' });
      await app.close();
      await sample.stopLlm();
      expect(await openResources()).toEqual(before);
    });

    it('starts afresh with another version', async () => {
      await summary(TICKET).expect(200);
      await app.close();
      app = await sample.start({ LLM_CACHE_VERSION: '2' });
      await summary(TICKET).expect(200).expect('X-LLM-Cache', 'miss');
      expect(sample.upstreamCalls).toBe(2);
    });
  });
});

/** Sockets and servers that keep the process alive, once those being closed are gone. */
async function openResources(): Promise<string[]> {
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  return process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).sort();
}

describeWithServers('sample app with REDIS_URL', () => {
  let sample: SampleApp;
  let server: RedisServer;

  beforeEach(async () => {
    [sample, server] = await Promise.all([SampleApp.prepare(), RedisServer.start()]);
  });
  afterEach(async () => {
    await sample.close();
    await server.stop();
  });

  it('shares its answers with other processes, and goes on without Redis', async () => {
    const here = await sample.start({ REDIS_URL: server.url });
    const there = await sample.start({ REDIS_URL: server.url });
    await post(here, '/tickets/summary', { ticket: TICKET }).expect(200).expect('X-LLM-Cache', 'miss');
    await post(there, '/tickets/summary', { ticket: TICKET }).expect(200).expect('X-LLM-Cache', 'hit');
    expect(sample.upstreamCalls).toBe(1);
    const health = async (): Promise<unknown> => (await request(there.getHttpServer()).get('/health').expect(200)).body as unknown;
    expect(await health()).toMatchObject({ details: { llmCache: { degraded: false, tiers: [{ name: 'memory' }, { name: 'redis', breaker: 'closed' }] } } });
    await server.kill();
    await post(there, '/tickets/summary', { ticket: OTHER_TICKET }).expect(200).expect('X-LLM-Cache', 'miss');
    expect(await health()).toMatchObject({ status: 'ok', details: { llmCache: { status: 'up', degraded: true } } });
  });
});
