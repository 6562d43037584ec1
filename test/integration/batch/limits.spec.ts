import { describe, expect, it } from '@jest/globals';
import type { BatchItem, BatchOptions, ChatRequest, LlmService } from 'nestjs-llm-cache';
import { FakeClock } from 'nestjs-llm-cache/testing';
import { ask, echo, serverError, start, textOf } from '../../fixtures/batches.js';
import { settled } from '../../fixtures/deferred.js';

/** A batch whose clock a test moves. */
async function run(llm: LlmService, requests: ChatRequest[], options: BatchOptions) {
  const items: BatchItem[] = [];
  const state = { items, over: false };
  void (async () => {
    for await (const item of llm.batch(requests, options)) items.push(item);
    state.over = true;
  })();
  await settled();
  return state;
}

async function advance(clock: FakeClock, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    clock.advance('1s');
    await settled();
  }
}

const questions = (count: number, fields = {}): ChatRequest[] => Array.from({ length: count }, (_, index) => ask(`question ${index}`, fields));

describe('requestsPerMinute', () => {
  it('spreads what goes upstream; hits cost nothing', async () => {
    const clock = new FakeClock();
    const { llm, provider } = await start({ clock });
    for (const request of questions(50)) await llm.chat(request);
    const before = provider.calls.length;
    const state = await run(llm, [...questions(53)], { requestsPerMinute: 20 });
    expect(state.items).toHaveLength(51);
    expect(provider.calls).toHaveLength(before + 1);
    await advance(clock, 4);
    expect(state.items).toHaveLength(52);
    await advance(clock, 4);
    expect(state).toMatchObject({ over: true });
    expect(state.items).toHaveLength(53);
  });
});

describe('tokensPerMinute', () => {
  it('counts the most an answer may be, and corrects it by what it was', async () => {
    const clock = new FakeClock();
    const { llm, provider } = await start({ clock }, 'a short answer');
    const state = await run(llm, questions(3, { max_tokens: 5_000 }), { tokensPerMinute: 10_000, concurrency: 1 });
    await advance(clock, 2); // each came to a few tokens
    expect(provider.calls).toHaveLength(3);
    expect(state.over).toBe(true);
  });

  it('sends what it cannot estimate', async () => {
    const { llm } = await start({ clock: new FakeClock() });
    const state = await run(llm, [ask('a', { tools: [{ most: 1n }] })], { tokensPerMinute: 10_000 });
    expect(state.items.map(textOf)).toEqual(['Answer to: a']);
  });

  it('holds back what would exceed it', async () => {
    const clock = new FakeClock();
    const usage = { prompt_tokens: 1_000, completion_tokens: 4_000, total_tokens: 5_000 };
    const { llm, provider } = await start({ clock }, () => ({ choices: [{ finish_reason: 'stop', message: { content: 'long' } }], usage }));
    const state = await run(llm, questions(3), { tokensPerMinute: 10_000, concurrency: 1 });
    expect(provider.calls).toHaveLength(1);
    await advance(clock, 20);
    expect(provider.calls).toHaveLength(1);
    await advance(clock, 15);
    expect(provider.calls).toHaveLength(2);
    await advance(clock, 35);
    expect(state.items).toHaveLength(3);
  });
});

describe('a provider that refuses', () => {
  it('is left alone for as long as it asks, and asked again', async () => {
    const clock = new FakeClock();
    let refusals = 0;
    const { llm, provider } = await start({ clock }, (request) =>
      clock.monotonic() < 60_000 ? (refusals++, serverError(429, { 'retry-after': '5' })) : echo(request),
    );
    const state = await run(llm, questions(20), { concurrency: 2 });
    expect(refusals).toBe(2);
    await advance(clock, 4);
    expect(refusals).toBe(2);
    await advance(clock, 1);
    expect(refusals).toBe(4);
    await advance(clock, 60);
    expect(state.items.map(textOf)).toEqual(questions(20).map(echo));
    expect(state.items.every(({ outcome }) => outcome.status === 'miss' && outcome.stored)).toBe(true);
    expect(provider.calls).toHaveLength(20 + 24);
  });

  it('fails its item with its own error after retryFor', async () => {
    const clock = new FakeClock();
    const error = serverError(429);
    const { llm } = await start({ clock }, error);
    const state = await run(llm, questions(1), { retryFor: '30s' });
    await advance(clock, 14);
    expect(state.items).toEqual([]);
    await advance(clock, 10);
    expect(state.items[0]!.error).toBe(error);
    expect(state.over).toBe(true);
  });

  it.each<[string, Error]>([
    ['for longer than retryFor', serverError(429, { 'retry-after': '86400' })],
    ['because there is no money left', Object.assign(serverError(429), { code: 'insufficient_quota' })],
    ['for another reason', serverError(500)],
  ])('%s fails its items at once', async (_what, error) => {
    const { llm, provider } = await start({ clock: new FakeClock() }, error);
    const state = await run(llm, questions(5), {});
    expect(state.items.map((item) => item.error)).toEqual(Array.from({ length: 5 }, () => error));
    expect(provider.calls).toHaveLength(5);
  });

  it('for longer than retryFor gets no further request until then', async () => {
    const clock = new FakeClock();
    const error = serverError(429, { 'retry-after': '86400' });
    const { llm, provider } = await start({ clock }, error);
    const state = await run(llm, questions(500), { concurrency: 2 });
    expect(state.items.filter((item) => item.error === error)).toHaveLength(500);
    expect(provider.calls).toHaveLength(2);
    clock.advance('1d');
    const later = await run(llm, questions(1), {});
    expect(provider.calls).toHaveLength(3);
    expect(later.over).toBe(true);
  });

  it('does not keep an aborted batch', async () => {
    const clock = new FakeClock();
    const { llm } = await start({ clock }, serverError(429, { 'retry-after': '5' }));
    const controller = new AbortController();
    const reading = (async () => {
      for await (const _ of llm.batch(questions(5), { signal: controller.signal }));
    })();
    await settled();
    controller.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
  });
});

describe('progress', () => {
  it('tells the rate of the last ten seconds, and the time that is left', async () => {
    const clock = new FakeClock();
    const { llm } = await start({ clock });
    const stored = questions(100);
    for (const request of stored) await llm.chat(request);
    const told: Array<[done: number, perSecond: number, remainingMs: number | undefined]> = [];
    const onProgress: BatchOptions['onProgress'] = ({ done, perSecond, remainingMs }) => told.push([done, perSecond, remainingMs]);
    await run(llm, [...stored, ...questions(140).slice(100)], { requestsPerMinute: 20, onProgress });
    await advance(clock, 60);
    const [done, perSecond, remainingMs] = told.at(-1)!;
    expect(done).toBeGreaterThan(115);
    expect(perSecond).toBeCloseTo(1 / 3, 1);
    expect(remainingMs).toBeCloseTo((140 - done) / perSecond * 1_000, -3);
  });
});
