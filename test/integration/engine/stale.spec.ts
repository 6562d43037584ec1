import { describe, expect, it, jest } from '@jest/globals';
import { type CallOptions, LlmCache, LlmCacheMissError, memoryStore, withCacheControl } from 'nestjs-llm-cache';
import { FakeClock } from 'nestjs-llm-cache/testing';
import { RETRY_AFTER_MS } from '../../../lib/policy/retry-throttle.js';
import { deferred, settled } from '../../fixtures/deferred.js';
import { HOUR, outage, QUESTION, staleSetUp } from '../../fixtures/stale.js';
import { troubledStore } from '../../fixtures/stores.js';

const SWR = { staleWhileRevalidate: '10m' } as const;
const SIE = { staleIfError: '1d' } as const;
const MINUTE = 60_000;

describe('stale-while-revalidate', () => {
  it('serves the stale answer at once, and renews it behind', async () => {
    const { ask, last, llmCache, storedFor, upstream } = staleSetUp(SWR);
    await storedFor(HOUR);
    expect(await ask()).toBe('answer 1');
    expect(last()).toEqual({ status: 'stale', reason: 'while-revalidate', stored: false, tier: 0, ageMs: HOUR, savedMs: 100, usage: undefined });
    await settled();
    expect(upstream.asked).toBe(2);
    expect(llmCache.stats()).toMatchObject({ misses: 1, stale: 1, upstream: 2, stored: 2, errors: 0, ms: { spent: 200, saved: 100 } });
    expect(await ask()).toBe('answer 2');
    expect(last()).toMatchObject({ status: 'hit', ageMs: 0 });
  });

  it.each([
    ['a moment before the end of the lifetime', HOUR - 1, 'hit'],
    ['at the end of it', HOUR, 'stale'],
    ['a moment before the end of the window', HOUR + 10 * MINUTE - 1, 'stale'],
    ['at the end of the window', HOUR + 10 * MINUTE, 'miss'],
  ])('%s', async (_when, ms, status) => {
    const { ask, last, storedFor } = staleSetUp(SWR);
    await storedFor(ms);
    await ask();
    expect(last()).toMatchObject({ status });
  });

  it('makes one refresh for a thousand callers; who finds no usable entry joins it', async () => {
    const clock = new FakeClock();
    const { ask, llmCache, storedFor, outcomes } = staleSetUp(SWR, clock);
    await storedFor(HOUR);
    const upstream = deferred<string>();
    const produce = jest.fn(() => upstream.promise);
    const asks = Array.from({ length: 1_000 }, () => llmCache.wrap(QUESTION, produce));
    expect(new Set(await Promise.all(asks))).toEqual(new Set(['answer 1']));
    const joined = ask({ maxAge: '5m' });
    await settled();
    expect(produce).toHaveBeenCalledTimes(1);
    upstream.resolve('fresh');
    expect(await joined).toBe('fresh');
    expect(outcomes).toMatchObject([{ status: 'coalesced' }]);
    expect(llmCache.stats()).toMatchObject({ stale: 1_000, coalesced: 1, upstream: 2, stored: 2 });
  });

  it('starts no refresh where a call is under way, whoever leads it', async () => {
    const { llmCache, ask, storedFor, upstream } = staleSetUp(SWR);
    await storedFor(HOUR);
    const answer = deferred<string>();
    const leader = llmCache.wrap(QUESTION, () => answer.promise, { noCache: true });
    expect(await ask()).toBe('answer 1');
    answer.resolve('led');
    await leader;
    await settled();
    expect(upstream.asked).toBe(1);
    expect(await ask()).toBe('led');
  });

  it('is independent of its caller: its signal, its observers, the control around it', async () => {
    const { llmCache, storedFor } = staleSetUp(SWR);
    await storedFor(HOUR);
    const answer = deferred<string>();
    let seen: AbortSignal | undefined;
    const controller = new AbortController();
    const told: string[] = [];
    const onOutcome = ({ status, name }: { status: string; name: string }): unknown => told.push(`${status} ${name}`);
    const inner = { name: 'inner', input: 1 };
    await withCacheControl({ onOutcome }, () =>
      llmCache.wrap(QUESTION, async ({ signal }) => ((seen = signal), `${await llmCache.wrap(inner, () => 'inner')} ${await answer.promise}`), { signal: controller.signal }),
    );
    controller.abort(new Error('left'));
    await settled();
    expect(seen!.aborted).toBe(false);
    answer.resolve('fresh');
    await settled();
    expect(told).toEqual(['stale Tickets.summary']);
    expect(await llmCache.wrap(QUESTION, () => 'never')).toBe('inner fresh');
  });

  it('goes on when the last of those who joined it leaves', async () => {
    const { llmCache, ask, storedFor } = staleSetUp(SWR);
    await storedFor(HOUR);
    const answer = deferred<string>();
    const abortable = ({ signal }: { signal: AbortSignal }): Promise<string> =>
      Promise.race([answer.promise, new Promise<string>((_resolve, reject) => signal.addEventListener('abort', () => reject(outage())))]);
    await llmCache.wrap(QUESTION, abortable);
    const controller = new AbortController();
    const joined = ask({ maxAge: '1m', signal: controller.signal });
    await settled();
    controller.abort('left');
    await expect(joined).rejects.toBe('left');
    answer.resolve('fresh');
    await settled();
    expect(await ask()).toBe('fresh');
    expect(llmCache.stats()).toMatchObject({ upstream: 2, stored: 2 });
  });

  it('does not store what was computed from arguments that the caller has changed meanwhile', async () => {
    const { llmCache, clock } = staleSetUp(SWR);
    const messages = ['hello'];
    const reply = async (): Promise<string> => {
      await settled();
      return `to ${messages.join()}`;
    };
    const ask = (input: unknown): Promise<string> => llmCache.wrap({ name: 'reply', input }, reply);
    expect(await ask(messages)).toBe('to hello');
    clock.advance(HOUR);
    expect(await ask(messages)).toBe('to hello');
    messages.push('and more');
    await settled();
    await settled();
    expect(llmCache.stats()).toMatchObject({ upstream: 2, stored: 1, refused: 1 });
    expect(await ask(['hello'])).toBe('to hello');
  });

  it.each<[string, CallOptions, string, number]>([
    ['noCache', { noCache: true }, 'miss', 2],
    ['onlyIfCached', { onlyIfCached: true }, 'stale', 1],
    ['noStore', { noStore: true }, 'stale', 1],
    ['maxAge of less than its age', { maxAge: HOUR }, 'miss', 2],
    ['maxAge of its age', { maxAge: HOUR + 1 }, 'stale', 2],
    ['maxAge: 0', { maxAge: 0 }, 'miss', 2],
    ['bypass', { bypass: true }, 'bypass', 2],
    ['a window of its own, too small', { staleWhileRevalidate: 1 }, 'miss', 2],
    ['none', { staleWhileRevalidate: false }, 'miss', 2],
    ['a wrong one', { staleWhileRevalidate: 'soon' as never }, 'bypass', 2],
  ])('%s', async (_what, control, status, asked) => {
    const { ask, last, storedFor, upstream } = staleSetUp(SWR);
    await storedFor(HOUR + 1);
    upstream.takesMs = 0;
    await ask(control);
    await settled();
    expect([last()!.status, upstream.asked]).toEqual([status, asked]);
  });

  it('is off unless told, and a call may turn it on where the store still has the entry', async () => {
    const { ask, last, storedFor } = staleSetUp();
    await storedFor(HOUR);
    await ask({ staleWhileRevalidate: '1m' });
    expect(last()).toMatchObject({ status: 'stale' });
    const off = staleSetUp();
    await off.storedFor(HOUR);
    await off.ask();
    expect(off.last()).toMatchObject({ status: 'miss' });
  });

  it('rejects with LlmCacheMissError past the window, with onlyIfCached', async () => {
    const { ask, storedFor } = staleSetUp({ ...SWR, staleIfError: '2h' });
    await storedFor(HOUR + 11 * MINUTE);
    await expect(ask({ onlyIfCached: true })).rejects.toThrow(LlmCacheMissError);
  });

  it.each<[string, (llmCache: LlmCache) => Promise<void>]>([
    ['by its key', (llmCache) => llmCache.invalidate({ key: QUESTION })],
    ['by its name', (llmCache) => llmCache.invalidate({ name: QUESTION.name })],
    ['by a tag', (llmCache) => llmCache.invalidate({ tags: ['t'] })],
    ['with everything', (llmCache) => llmCache.clear()],
  ])('never serves what was invalidated %s', async (_how, remove) => {
    const { ask, last, llmCache, storedFor } = staleSetUp({ ...SWR, ...SIE });
    await storedFor(HOUR, { tags: ['t'] });
    await remove(llmCache);
    await ask();
    expect(last()).toMatchObject({ status: 'miss' });
  });

  it('an invalidation while it is renewed keeps the new answer out', async () => {
    const { ask, last, llmCache, storedFor } = staleSetUp(SWR);
    await storedFor(HOUR);
    const answer = deferred<string>();
    await llmCache.wrap(QUESTION, () => answer.promise);
    await llmCache.invalidate({ name: QUESTION.name });
    answer.resolve('from before');
    await settled();
    await ask();
    expect(last()).toMatchObject({ status: 'miss' });
  });

  it('never serves what the gate, or a filter, no longer admits', async () => {
    const { ask, last, storedFor } = staleSetUp({ ...SWR, cacheable: (_answer, { stored }) => !stored });
    await storedFor(HOUR);
    await ask();
    expect(last()).toMatchObject({ status: 'miss' });
  });

  it('a renewed answer keeps the groups of the call around it', async () => {
    const { llmCache, clock } = staleSetUp(SWR);
    let made = 0;
    const inner = (): Promise<string> => llmCache.wrap({ name: 'inner', input: 1 }, () => `inner ${++made}`);
    const outer = (call: CallOptions): Promise<string> => llmCache.wrap({ name: 'outer', input: 1 }, inner, call);
    await outer({ tags: ['t'] });
    clock.advance(HOUR);
    await outer({ tags: ['t'], staleWhileRevalidate: false }); // its inner answer is stale, and renewed
    await settled();
    expect(await inner()).toBe('inner 2');
    await llmCache.invalidate({ tags: ['t'] });
    expect(await inner()).toBe('inner 3');
  });

  it('an answer made from a stale one is no younger, and not stored', async () => {
    const { llmCache, clock } = staleSetUp(SWR);
    const outcomes: string[] = [];
    const onOutcome = ({ status, name, reason }: { status: string; name: string; reason?: string }): unknown => outcomes.push(`${name} ${status} ${reason ?? ''}`.trim());
    let made = 0;
    const inner = (): Promise<string> => llmCache.wrap({ name: 'inner', input: 1 }, () => `inner ${++made}`);
    const outer = (call: CallOptions = {}): Promise<string> =>
      withCacheControl({ onOutcome }, () => llmCache.wrap({ name: 'outer', input: 1 }, inner, call));
    await outer();
    clock.advance(HOUR);
    outcomes.length = 0;
    expect(await outer({ staleWhileRevalidate: false })).toBe('inner 1');
    expect(outcomes).toEqual(['inner stale while-revalidate', 'outer miss too-old']);
    await settled();
    expect(await outer({ staleWhileRevalidate: false })).toBe('inner 2');
    expect(outcomes.slice(2)).toEqual(['inner hit', 'outer miss']);
  });

  it('renews an answer in one go, though what it is made of is stale too', async () => {
    const { llmCache, clock } = staleSetUp(SWR);
    let made = 0;
    const inner = (): Promise<string> => llmCache.wrap({ name: 'inner', input: 1 }, () => `inner ${++made}`);
    const outer = (): Promise<string> => llmCache.wrap({ name: 'outer', input: 1 }, inner);
    await outer();
    clock.advance(HOUR);
    expect(await outer()).toBe('inner 1');
    await settled();
    expect(await outer()).toBe('inner 2');
    expect(llmCache.stats()).toMatchObject({ upstream: 2, tokens: { spent: 0 } });
  });

  it('a refresh that is under way when the app is closed ends in peace', async () => {
    const { llmCache, storedFor } = staleSetUp(SWR);
    await storedFor(HOUR);
    const answer = deferred<string>();
    await llmCache.wrap(QUESTION, () => answer.promise);
    await llmCache.close();
    answer.reject(new Error('too late'));
    await settled();
    expect(llmCache.stats()).toMatchObject({ errors: 1, stored: 1 });
  });
});

describe('two tiers', () => {
  const twoProcesses = (options: { maxInvalidationDelay?: '1d' } = {}) => {
    const shared = troubledStore();
    const clock = new FakeClock();
    const one = staleSetUp({ stores: [memoryStore(), shared.keyv], ...SWR, ...SIE, ...options }, clock);
    const other = staleSetUp({ stores: [memoryStore(), shared.keyv], ...SWR, ...SIE, ...options }, clock);
    other.upstream.asked = 100;
    return { shared, clock, one, other };
  };

  it('looks for a fresh answer in slower tiers before it serves a stale one', async () => {
    const { one, other, clock } = twoProcesses();
    await one.storedFor(0);
    expect(await other.ask()).toBe('answer 1');
    clock.advance(HOUR);
    await other.ask({ noCache: true });
    expect(await one.ask()).toBe('answer 101');
    expect(one.last()).toMatchObject({ status: 'hit', tier: 1 });
    expect(await one.ask()).toBe('answer 101');
    expect(one.last()).toMatchObject({ status: 'hit', tier: 0 }); // promoted
  });

  it('serves the youngest where all are stale', async () => {
    const { one, other, clock } = twoProcesses();
    await one.storedFor(10 * MINUTE);
    await other.ask({ noCache: true });
    clock.advance(HOUR);
    expect(await one.ask()).toBe('answer 101');
    expect(one.last()).toMatchObject({ status: 'stale', tier: 1, ageMs: HOUR });
    await settled();
    expect(await one.ask()).toBe('answer 2');
  });

  it('a stale answer that is read slowly does not take the place of the fresh one written meanwhile', async () => {
    const { shared, one } = twoProcesses();
    await one.storedFor(HOUR);
    await one.ask({}, 'another, so that versions are known');
    const gate = shared.hold('get');
    const slow = one.ask();
    await settled();
    await one.ask({ noCache: true });
    gate.resolve();
    expect(await slow).toBe('answer 3');
    await settled();
    expect(one.upstream.asked).toBe(3);
    expect(await one.ask()).toBe('answer 3');
    expect(one.last()).toMatchObject({ status: 'hit', tier: 0 });
  });

  it.each([
    [{ maxInvalidationDelay: '1d' }, 'answer 1', { status: 'stale', tier: 0 }],
    [{}, 'answer 2', { status: 'miss' }], // another process may have invalidated it an hour ago
  ] as const)('with the shared store down and %p, the one in memory is worth %p', async (options, answer, outcome) => {
    const { shared, one } = twoProcesses(options);
    await one.storedFor(HOUR);
    shared.fail('get', 'set');
    expect(await one.ask()).toBe(answer);
    expect(one.last()).toMatchObject(outcome);
  });

  it('the store is told to keep an entry past its lifetime: when it is written, and when it is promoted', async () => {
    const written: Array<number | undefined> = [];
    const watched = (): ReturnType<typeof troubledStore>['keyv'] => {
      const { keyv } = troubledStore();
      const set = keyv.set.bind(keyv);
      keyv.set = ((key: string, value: string, ttl: number) => (written.push(ttl), set(key, value, ttl))) as never;
      return keyv;
    };
    const [fast, slow] = [watched(), watched()];
    const clock = new FakeClock();
    const only = (): number[] => written.splice(0).filter((ttl): ttl is number => (ttl ?? 0) > 0);
    await staleSetUp({ stores: slow }, clock).storedFor(0);
    expect(only()).toEqual([HOUR]);
    await staleSetUp({ stores: slow, ...SWR }, clock).ask({ noCache: true });
    expect(only()).toEqual([HOUR + 10 * MINUTE]);
    const both = staleSetUp({ stores: slow, ...SWR, ...SIE }, clock);
    await both.ask({ noCache: true });
    expect(only()).toEqual([HOUR + 24 * HOUR]);
    clock.advance(10 * MINUTE);
    await staleSetUp({ stores: [fast, slow], ...SWR }, clock).ask();
    expect(only()).toEqual([HOUR]); // 50 minutes are left of its lifetime, and 10 to be stale in
    await staleSetUp({ stores: slow, ttl: false, ...SIE }, clock).ask({ noCache: true });
    expect(only()).toEqual([]);
  });
});

describe('stale-if-error', () => {
  it('serves the stale answer where upstream fails', async () => {
    const { ask, last, llmCache, storedFor, upstream } = staleSetUp(SIE);
    upstream.takesMs = 500;
    await storedFor(2 * HOUR);
    upstream.takesMs = 200;
    upstream.error = outage();
    expect(await ask()).toBe('answer 1');
    expect(last()).toEqual({ status: 'stale', reason: 'if-error', stored: false, tier: 0, ageMs: 2 * HOUR + 200, savedMs: 300, usage: undefined });
    expect(llmCache.stats()).toMatchObject({ misses: 1, stale: 1, upstream: 2, errors: 1, ms: { spent: 700, saved: 300 } });
  });

  it('asks upstream first, and stores what it says', async () => {
    const { ask, last, storedFor } = staleSetUp(SIE);
    await storedFor(HOUR);
    expect(await ask()).toBe('answer 2');
    expect(last()).toMatchObject({ status: 'miss', stored: true });
  });

  it.each<[string, unknown]>([
    ['400', Object.assign(new Error(), { status: 400 })],
    ['408', Object.assign(new Error(), { status: 408 })],
    ['a mistake', new TypeError('x is not a function')],
    ['a text', '503'],
  ])('%s goes through, the very same', async (_what, error) => {
    const { ask, last, storedFor, upstream } = staleSetUp(SIE);
    await storedFor(HOUR);
    upstream.error = error;
    await expect(ask()).rejects.toBe(error);
    expect(last()).toMatchObject({ status: 'miss', reason: 'error' });
  });

  it('an error past the window goes through', async () => {
    const { ask, storedFor, upstream } = staleSetUp(SIE);
    await storedFor(25 * HOUR);
    upstream.error = outage();
    await expect(ask()).rejects.toBe(upstream.error);
  });

  it('an error that comes when the window is over goes through', async () => {
    const { ask, storedFor, upstream } = staleSetUp(SIE);
    await storedFor(25 * HOUR - 50);
    upstream.error = outage();
    await expect(ask()).rejects.toBe(upstream.error);
  });

  it('what was invalidated while upstream was asked is not served', async () => {
    const { llmCache, storedFor } = staleSetUp(SIE);
    await storedFor(HOUR);
    const answer = deferred<string>();
    const call = llmCache.wrap(QUESTION, () => answer.promise);
    await llmCache.invalidate({ key: QUESTION });
    const error = outage();
    answer.reject(error);
    await expect(call).rejects.toBe(error);
  });

  it('gives the leader and each follower of a failed call a stale answer of its own, if it may have one', async () => {
    const { llmCache, clock, outcomes } = staleSetUp(SIE);
    await llmCache.wrap(QUESTION, () => ({ list: [1] }));
    clock.advance(HOUR);
    const upstream = deferred<{ list: number[] }>();
    const onOutcome = ({ status, reason }: { status: string; reason?: string }): unknown => outcomes.push({ status, reason } as never);
    const ask = (call: CallOptions = {}): Promise<{ list: number[] }> => llmCache.wrap(QUESTION, () => upstream.promise, { onOutcome, ...call });
    const calls = [ask(), ask(), ask({ staleIfError: false }), ask({ maxAge: '1m' })];
    await settled();
    const error = outage();
    upstream.reject(error);
    const [first, second, ...without] = await Promise.allSettled(calls);
    expect([first, second]).toEqual([{ status: 'fulfilled', value: { list: [1] } }, { status: 'fulfilled', value: { list: [1] } }]);
    expect((first as PromiseFulfilledResult<unknown>).value).not.toBe((second as PromiseFulfilledResult<unknown>).value);
    expect(without.map((result) => (result as PromiseRejectedResult).reason as unknown)).toEqual([error, error]);
    expect(outcomes.map(({ status, reason }) => `${status} ${reason}`).sort()).toEqual(['coalesced error', 'coalesced error', 'stale if-error', 'stale if-error']);
    expect(llmCache.stats()).toMatchObject({ upstream: 2, errors: 1, stale: 2 });
  });

  it('a caller who aborts gets its reason, whatever upstream says to that', async () => {
    const { llmCache, storedFor } = staleSetUp(SIE);
    await storedFor(HOUR);
    const controller = new AbortController();
    const call = llmCache.wrap(
      QUESTION,
      ({ signal }) => new Promise<string>((_resolve, reject) => signal.addEventListener('abort', () => reject(outage()))),
      { signal: controller.signal },
    );
    await settled();
    const reason = new DOMException('as AbortSignal.timeout has it', 'TimeoutError');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect(llmCache.stats()).toMatchObject({ stale: 0 });
  });

  it('an outer answer made from it is no younger, and not stored', async () => {
    const { llmCache, ask, storedFor, upstream } = staleSetUp(SIE);
    await storedFor(HOUR);
    upstream.error = outage();
    let outcome: unknown;
    await llmCache.wrap({ name: 'outer', input: 1 }, () => ask(), { onOutcome: (told) => (outcome = told) });
    expect(outcome).toMatchObject({ status: 'miss', stored: false, reason: 'too-old' });
  });
});

describe('the retry throttle', () => {
  it('leaves a key alone for ten seconds after a failed refresh; a success ends that', async () => {
    const { ask, last, clock, storedFor, upstream, llmCache } = staleSetUp(SWR);
    await storedFor(HOUR);
    upstream.error = outage();
    upstream.takesMs = 0;
    for (let call = 0; call < 3; call++) {
      expect(await ask()).toBe('answer 1');
      expect(last()).toMatchObject({ status: 'stale', reason: 'while-revalidate' });
      await settled();
    }
    expect(upstream.asked).toBe(2);
    clock.advance(RETRY_AFTER_MS - 1);
    await ask();
    expect(upstream.asked).toBe(2);
    clock.advance(1);
    upstream.error = undefined;
    await ask();
    await settled();
    expect(upstream.asked).toBe(3);
    expect(await ask()).toBe('answer 3');
    expect(llmCache.stats()).toMatchObject({ errors: 1, stale: 5, hits: 1 });
  });

  it('answers at once with the stale answer after one that upstream failed', async () => {
    const { ask, last, clock, storedFor, upstream } = staleSetUp(SIE);
    await storedFor(HOUR);
    upstream.error = outage();
    await ask();
    expect(await ask()).toBe('answer 1');
    expect(last()).toMatchObject({ status: 'stale', reason: 'if-error', savedMs: 100 });
    expect(await ask({ onlyIfCached: true })).toBe('answer 1');
    expect(upstream.asked).toBe(2);
    await expect(ask({ staleIfError: false })).rejects.toBe(upstream.error); // one who may not have it asks
    expect(upstream.asked).toBe(3);
    clock.advance(RETRY_AFTER_MS);
    await ask();
    expect(upstream.asked).toBe(4);
  });

  it('ends with any answer, also one that is not stored', async () => {
    const { ask, storedFor, upstream, last } = staleSetUp(SIE);
    await storedFor(HOUR);
    upstream.error = outage();
    await ask();
    upstream.error = undefined;
    await ask({ staleIfError: false, noStore: true });
    await ask();
    expect(last()).toMatchObject({ status: 'miss', stored: true });
  });

  it('rests after a refresh that brought nothing to store', async () => {
    const { llmCache, storedFor } = staleSetUp(SWR);
    await storedFor(HOUR);
    const produce = jest.fn(async () => '');
    for (let call = 0; call < 3; call++) {
      expect(await llmCache.wrap(QUESTION, produce)).toBe('answer 1');
      await settled();
    }
    expect(produce).toHaveBeenCalledTimes(1);
  });

  it('is of one key', async () => {
    const { ask, clock, storedFor, upstream } = staleSetUp(SIE);
    await storedFor(1);
    await ask({}, 'another');
    clock.advance(HOUR);
    upstream.error = outage();
    await ask();
    await ask({}, 'another');
    expect(upstream.asked).toBe(4);
  });
});
