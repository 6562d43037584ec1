import { describe, expect, it, jest } from '@jest/globals';
import { LlmCache, memoryStore } from 'nestjs-llm-cache';
import { FakeClock } from 'nestjs-llm-cache/testing';
import { deferred, settled } from '../../fixtures/deferred.js';
import { troubledStore } from '../../fixtures/stores.js';

const parts = (input: unknown = 'question') => ({ name: 'Test.ask', input });

describe('single-flight', () => {
  it('makes one upstream call for 1,000 equal callers, each with a copy of its own', async () => {
    const llmCache = new LlmCache();
    const upstream = deferred<{ list: number[] }>();
    const produce = jest.fn(() => upstream.promise);
    const calls = Array.from({ length: 1_000 }, () => llmCache.wrap(parts(), produce));
    upstream.resolve({ list: [1, 2, 3] });
    const answers = await Promise.all(calls);
    expect(produce).toHaveBeenCalledTimes(1);
    expect(new Set(answers).size).toBe(1_000);
    answers.forEach((answer) => answer.list.push(99));
    expect(await llmCache.wrap(parts(), produce)).toEqual({ list: [1, 2, 3] });
    expect(llmCache.stats()).toMatchObject({ misses: 1, coalesced: 999, hits: 1, upstream: 1 });
  });

  it.each([memoryStore(), troubledStore().keyv])('shares one store read and one call where the store is asynchronous (%#)', async (store) => {
    const llmCache = new LlmCache({ stores: store });
    const produce = jest.fn(async () => 'answer');
    const answers = await Promise.all(Array.from({ length: 100 }, () => llmCache.wrap(parts(), produce)));
    expect(produce).toHaveBeenCalledTimes(1);
    expect(new Set(answers)).toEqual(new Set(['answer']));
  });

  it('keeps different questions apart', async () => {
    const llmCache = new LlmCache();
    const answers = await Promise.all([1, 2, 3].map((input) => llmCache.wrap(parts(input), () => input * 10)));
    expect(answers).toEqual([10, 20, 30]);
  });

  it.each([new Error('429'), undefined, null, 'text', 0])('shares a failure (%p), the very same, once; the next call tries again', async (reason) => {
    const llmCache = new LlmCache();
    let failing = true;
    const produce = jest.fn(() => (failing ? Promise.reject(reason) : Promise.resolve('fine')));
    const results = await Promise.allSettled([1, 2, 3].map(() => llmCache.wrap(parts(), produce)));
    expect(results.map((result) => [result.status, (result as PromiseRejectedResult).reason])).toEqual(
      [1, 2, 3].map(() => ['rejected', reason]),
    );
    expect(produce).toHaveBeenCalledTimes(1);
    failing = false;
    expect(await llmCache.wrap(parts(), produce)).toBe('fine');
    expect(llmCache.stats()).toMatchObject({ errors: 1, upstream: 2, stored: 1 });
  });

  it('takes a synchronous throw for a rejection, and frees the key', async () => {
    const llmCache = new LlmCache();
    const boom = new Error('boom');
    const failing = () => {
      throw boom;
    };
    for (let attempt = 0; attempt < 3; attempt++) await expect(llmCache.wrap(parts(), failing)).rejects.toBe(boom);
    expect(llmCache.stats().upstream).toBe(3);
    expect(await llmCache.wrap(parts(), () => 'fine')).toBe('fine');
  });

  it('lets one caller abort without harming the others', async () => {
    const llmCache = new LlmCache();
    const upstream = deferred<string>();
    let seen: AbortSignal | undefined;
    const produce = ({ signal }: { signal: AbortSignal }) => {
      seen = signal;
      return upstream.promise;
    };
    const [first, second] = [new AbortController(), new AbortController()];
    const leader = llmCache.wrap(parts(), produce, { signal: first.signal });
    const follower = llmCache.wrap(parts(), produce, { signal: second.signal });
    await settled();
    const reason = new Error('closed the tab');
    first.abort(reason);
    await expect(leader).rejects.toBe(reason);
    expect(seen!.aborted).toBe(false);
    upstream.resolve('answer');
    expect(await follower).toBe('answer');
    expect(await llmCache.wrap(parts(), produce)).toBe('answer');
    expect(llmCache.stats().upstream).toBe(1);
  });

  it('cancels the upstream call when the last caller aborts; the next caller starts anew', async () => {
    const llmCache = new LlmCache();
    const signals: AbortSignal[] = [];
    const produce = ({ signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      return new Promise<string>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    };
    const controllers = [new AbortController(), new AbortController()];
    const calls = controllers.map(({ signal }) => llmCache.wrap(parts(), produce, { signal }));
    await settled();
    controllers.forEach((controller, index) => controller.abort(`caller ${index}`));
    await expect(calls[0]).rejects.toBe('caller 0');
    await expect(calls[1]).rejects.toBe('caller 1');
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(await llmCache.wrap(parts(), () => 'fresh')).toBe('fresh');
  });

  it('rejects a caller who has aborted already, without an upstream call', async () => {
    const llmCache = new LlmCache();
    const produce = jest.fn(async () => 'answer');
    await expect(llmCache.wrap(parts(), produce, { signal: AbortSignal.abort('gone') })).rejects.toBe('gone');
    expect(produce).not.toHaveBeenCalled();
  });

  it.each([
    ['the store is read', {}],
    ['it runs beside the cache', { bypass: true }],
  ])('rejects a caller who aborts while %s, at once', async (_case, control) => {
    const store = troubledStore();
    const llmCache = new LlmCache({ stores: store.keyv });
    const read = store.hold('get');
    const upstream = deferred<string>();
    const controller = new AbortController();
    const call = llmCache.wrap(parts(), () => upstream.promise, { ...control, signal: controller.signal });
    await settled();
    controller.abort('gone');
    const reason = call.catch((error: unknown) => error);
    expect(await Promise.race([reason, settled().then(() => 'still waiting')])).toBe('gone');
    read.resolve();
    upstream.resolve('answer');
    await settled();
  });

  it('lets followers whose deadline passes ask again, together', async () => {
    const clock = new FakeClock();
    const llmCache = new LlmCache({ singleFlight: { timeout: '10s' } }, clock);
    const hung = deferred<string>();
    const produce = jest.fn<() => Promise<string>>().mockReturnValueOnce(hung.promise).mockResolvedValue('second try');
    const leader = llmCache.wrap(parts(), produce);
    const followers = [1, 2, 3].map(() => llmCache.wrap(parts(), produce));
    await settled();
    clock.advance('9s');
    await settled();
    expect(produce).toHaveBeenCalledTimes(1);
    clock.advance('1s');
    expect(await Promise.all(followers)).toEqual(['second try', 'second try', 'second try']);
    expect(produce).toHaveBeenCalledTimes(2);
    hung.resolve('late');
    expect(await leader).toBe('late');
    expect(await llmCache.wrap(parts(), produce)).toBe('second try');
  });

  it('gives an answer that cannot be copied to the leader alone; a follower asks for itself', async () => {
    class Money {
      #cents = 5;
      get cents() {
        return this.#cents;
      }
    }
    const llmCache = new LlmCache();
    const produce = jest.fn(async () => new Money());
    const [a, b] = await Promise.all([llmCache.wrap(parts(), produce), llmCache.wrap(parts(), produce)]);
    expect([a.cents, b.cents]).toEqual([5, 5]);
    expect(a).not.toBe(b);
  });

  it('a noCache caller never joins an older flight; later callers join the newer one', async () => {
    const llmCache = new LlmCache();
    const [older, newer] = [deferred<string>(), deferred<string>()];
    const first = llmCache.wrap(parts(), () => older.promise);
    const second = llmCache.wrap(parts(), () => newer.promise, { noCache: true });
    const third = llmCache.wrap(parts(), () => 'never');
    newer.resolve('new');
    expect(await second).toBe('new');
    expect(await third).toBe('new');
    older.resolve('old');
    expect(await first).toBe('old');
    expect(await llmCache.wrap(parts(), () => 'never')).toBe('new');
  });

  it("a leader's noStore binds only itself", async () => {
    const llmCache = new LlmCache();
    const upstream = deferred<string>();
    const leader = llmCache.wrap(parts(), () => upstream.promise, { noStore: true });
    const follower = llmCache.wrap(parts(), () => 'never');
    upstream.resolve('answer');
    await Promise.all([leader, follower]);
    expect(await llmCache.wrap(parts(), () => 'never')).toBe('answer');
  });

  it('unites the tags of everyone who joined', async () => {
    const llmCache = new LlmCache();
    const upstream = deferred<string>();
    const both = [
      llmCache.wrap(parts(), () => upstream.promise, { tags: ['a'] }),
      llmCache.wrap(parts(), () => 'never', { tags: ['b'] }),
    ];
    upstream.resolve('old');
    await Promise.all(both);
    await llmCache.invalidate({ tags: ['b'] });
    expect(await llmCache.wrap(parts(), () => 'new')).toBe('new');
  });

  it('does not store an answer whose input the caller changed while the store was read', async () => {
    const store = troubledStore();
    const llmCache = new LlmCache({ stores: store.keyv });
    const input = { text: 'asked' };
    const read = store.hold('get');
    const call = llmCache.wrap(parts(input), () => `answer to ${input.text}`);
    input.text = 'changed';
    read.resolve();
    expect(await call).toBe('answer to changed');
    store.heal();
    expect(await llmCache.wrap(parts({ text: 'asked' }), () => 'answer to asked')).toBe('answer to asked');
  });
});
