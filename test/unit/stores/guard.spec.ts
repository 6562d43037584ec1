import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LlmCacheStoreError } from '../../../lib/core/errors.js';
import { StoreGuard } from '../../../lib/stores/guard.js';

const TIMEOUT_MS = 250;
jest.setTimeout(3_000); // no time passes here; a guard without its deadline would wait for ever
const never = (): Promise<never> => new Promise(() => {});

describe('store guard', () => {
  let guard: StoreGuard;

  beforeEach(() => {
    jest.useFakeTimers();
    guard = new StoreGuard(TIMEOUT_MS);
  });
  afterEach(() => {
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });

  it.each<[what: string, result: unknown]>([
    ['a value', 'x'],
    ['a promise of one', Promise.resolve('x')],
    // oxlint-disable-next-line unicorn/no-thenable -- some clients answer with one
    ['a thenable', { then: (resolve: (value: string) => void) => resolve('x') }],
  ])('passes on %s', async (_what, result) => {
    expect(await guard.run('get', () => result)).toBe('x');
  });

  it('ends an operation at its deadline, and not before', async () => {
    const outcome = outcomeOf(guard.run('get', never));
    await jest.advanceTimersByTimeAsync(TIMEOUT_MS - 1);
    expect(outcome.kind).toBe('pending');
    await jest.advanceTimersByTimeAsync(1);
    expect(outcome.kind).toBe('timeout');
    expect(outcome.message).toBe('get took longer than storeTimeout (250 ms)');
  });

  it('gives the late answer of an operation that timed out to nobody', async () => {
    let answer!: (value: string) => void;
    const outcome = outcomeOf(guard.run('get', () => new Promise<string>((resolve) => (answer = resolve))));
    await jest.advanceTimersByTimeAsync(TIMEOUT_MS);
    answer('late');
    await jest.advanceTimersByTimeAsync(0);
    expect(outcome.kind).toBe('timeout');
    expect(guard.stats()).toMatchObject({ breaker: 'open', latencyMs: null });
  });

  it('lets the late failure of an operation that timed out go unnoticed', async () => {
    let fail!: (error: Error) => void;
    const outcome = outcomeOf(guard.run('get', () => new Promise((_resolve, reject) => (fail = reject))));
    await jest.advanceTimersByTimeAsync(TIMEOUT_MS);
    fail(new Error('late')); // an unhandled rejection would fail the test run
    await jest.advanceTimersByTimeAsync(0);
    expect(outcome.kind).toBe('timeout');
    expect(guard.stats().lastError).toBe('timeout');
  });

  const reset = new Error('ECONNRESET');
  const FAILURES: ReadonlyArray<readonly [how: string, run: () => Promise<never>]> = [
    ['rejecting', () => Promise.reject(reset)],
    [
      'synchronously throwing',
      () => {
        throw reset;
      },
    ],
  ];

  it.each(FAILURES)('wraps what a %s store throws', async (_how, run) => {
    const failure = await errorOf(guard.run('set', run));
    expect(failure).toBeInstanceOf(LlmCacheStoreError);
    expect({ kind: failure.kind, message: failure.message, cause: failure.cause }).toEqual({
      kind: 'failed',
      message: 'set failed',
      cause: reset,
    });
  });

  it.each(FAILURES)('leaves a %s store alone after five failures in a row', async (_how, run) => {
    const operation = jest.fn(run);
    const kinds: string[] = [];
    for (let attempt = 1; attempt <= 7; attempt++) kinds.push((await errorOf(guard.run('get', operation))).kind);
    expect(kinds).toEqual(['failed', 'failed', 'failed', 'failed', 'failed', 'skipped', 'skipped']);
    expect(operation).toHaveBeenCalledTimes(5);
  });

  it('starts counting again after a success', async () => {
    for (let round = 0; round < 3; round++) {
      for (let attempt = 1; attempt <= 4; attempt++) await errorOf(guard.run('get', () => Promise.reject(reset)));
      expect(await guard.run('get', () => 'x')).toBe('x');
    }
  });

  it('leaves a store alone after its first timeout', async () => {
    await timeOut(guard);
    const operation = jest.fn(() => 'x');
    expect((await errorOf(guard.run('set', operation))).kind).toBe('skipped');
    expect(operation).not.toHaveBeenCalled();
  });

  it('fails at once while it leaves a store alone: no caller waits for another deadline', async () => {
    await timeOut(guard);
    const before = performance.now();
    await errorOf(guard.run('get', never));
    expect(performance.now()).toBe(before);
  });

  it('probes after five seconds, with one operation; the others do not wait for it', async () => {
    await timeOut(guard);
    await jest.advanceTimersByTimeAsync(4_999);
    expect((await errorOf(guard.run('get', () => 'x'))).kind).toBe('skipped');
    await jest.advanceTimersByTimeAsync(1);

    const probe = outcomeOf(guard.run('get', never));
    expect((await errorOf(guard.run('get', () => 'x'))).kind).toBe('skipped');
    await jest.advanceTimersByTimeAsync(TIMEOUT_MS);
    expect(probe.kind).toBe('timeout');
  });

  it('is itself again after a probe that succeeds', async () => {
    await timeOut(guard);
    await jest.advanceTimersByTimeAsync(5_000);
    expect(await guard.run('get', () => 'back')).toBe('back');
    expect(await guard.run('get', () => 'x')).toBe('x');
    expect((await errorOf(guard.run('get', () => Promise.reject(reset)))).kind).toBe('failed');
    expect(await guard.run('get', () => 'one failure is none')).toBe('one failure is none');
  });

  it('waits five seconds more after a probe that fails', async () => {
    await timeOut(guard);
    await jest.advanceTimersByTimeAsync(5_000);
    expect((await errorOf(guard.run('get', () => Promise.reject(reset)))).kind).toBe('failed');
    await jest.advanceTimersByTimeAsync(4_999);
    expect((await errorOf(guard.run('get', () => 'x'))).kind).toBe('skipped');
    await jest.advanceTimersByTimeAsync(1);
    expect(await guard.run('get', () => 'back')).toBe('back');
  });

  it('lets one operation probe, also when that hangs for longer than the next probe is away', async () => {
    guard = new StoreGuard(20_000);
    const first = errorOf(guard.run('get', never));
    await jest.advanceTimersByTimeAsync(20_000);
    await first;
    await jest.advanceTimersByTimeAsync(5_000);
    const probe = outcomeOf(guard.run('get', never));
    const operation = jest.fn(() => 'x');
    for (let second = 0; second < 19; second++) {
      await jest.advanceTimersByTimeAsync(1_000);
      expect((await errorOf(guard.run('get', operation))).kind).toBe('skipped');
    }
    expect(guard.stats().breaker).toBe('half-open');
    await jest.advanceTimersByTimeAsync(1_000);
    expect(probe.kind).toBe('timeout');
    expect(operation).not.toHaveBeenCalled();
  });

  it('probes five seconds after the first timeout, whatever times out after it', async () => {
    const running = [outcomeOf(guard.run('get', never))];
    await jest.advanceTimersByTimeAsync(TIMEOUT_MS - 1);
    running.push(outcomeOf(guard.run('get', never))); // before the store is known to be down
    await jest.advanceTimersByTimeAsync(1 + 4_999);
    expect(running.map(({ kind }) => kind)).toEqual(['timeout', 'timeout']);
    expect(guard.letsThrough).toBe(false);
    await jest.advanceTimersByTimeAsync(1);
    expect(guard.letsThrough).toBe(true);
  });

  it('is not closed by the late success of what began before it opened', async () => {
    let answer!: (value: string) => void;
    const early = guard.run('getMany', () => new Promise<string>((resolve) => (answer = resolve)), 2);
    await timeOut(guard);
    answer('x');
    expect(await early).toBe('x');
    expect(guard.stats().breaker).toBe('open');
  });

  describe('told that the store can be reached again', () => {
    it('closes at once', async () => {
      await timeOut(guard);
      guard.recover();
      expect(await guard.run('get', () => 'back')).toBe('back');
      expect(guard.stats().breaker).toBe('closed');
    });

    it('counts from the start', async () => {
      for (let attempt = 1; attempt <= 4; attempt++) await errorOf(guard.run('get', () => Promise.reject(reset)));
      guard.recover();
      await errorOf(guard.run('get', () => Promise.reject(reset)));
      expect(guard.stats().breaker).toBe('closed');
    });

    it('lets what began before, on a connection that is gone, change nothing', async () => {
      const lost = outcomeOf(guard.run('get', never));
      await jest.advanceTimersByTimeAsync(TIMEOUT_MS - 1);
      guard.recover();
      await jest.advanceTimersByTimeAsync(1);
      expect(lost.kind).toBe('timeout');
      expect(guard.stats()).toMatchObject({ breaker: 'closed', degradedMs: 0, lastError: 'timeout' });

      await timeOut(guard);
      await jest.advanceTimersByTimeAsync(5_000);
      const probe = outcomeOf(guard.run('get', never));
      guard.recover();
      await jest.advanceTimersByTimeAsync(TIMEOUT_MS);
      expect(probe.kind).toBe('timeout');
      expect(guard.stats().breaker).toBe('closed');
    });
  });

  describe('tells in its stats', () => {
    it('the state of the breaker, and how long it was not closed', async () => {
      const tell = (): unknown[] => Object.values(guard.stats()).filter((_, index) => index !== 1);
      expect(tell()).toEqual(['closed', 0, null]);
      await timeOut(guard);
      expect(tell()).toEqual(['open', 0, 'timeout']);
      await jest.advanceTimersByTimeAsync(4_999);
      expect(tell()).toEqual(['open', 4_999, 'timeout']);
      await jest.advanceTimersByTimeAsync(1);
      expect(tell()).toEqual(['half-open', 5_000, 'timeout']);
      await errorOf(guard.run('get', () => Promise.reject(reset)));
      expect(tell()).toEqual(['open', 5_000, 'failed']);
      await jest.advanceTimersByTimeAsync(6_000);
      await guard.run('get', () => 'back');
      expect(tell()).toEqual(['closed', 11_000, 'failed']);
      await jest.advanceTimersByTimeAsync(1_000);
      await timeOut(guard);
      await jest.advanceTimersByTimeAsync(10);
      expect(tell()).toEqual(['open', 11_010, 'timeout']);
    });

    it('what an operation takes: 7/8 of what it was, and 1/8 of the newest', async () => {
      let nowMs = 0;
      guard = new StoreGuard(TIMEOUT_MS, () => nowMs);
      const taking = (ms: number, outcome: () => unknown = () => 'x'): Promise<unknown> =>
        guard.run('get', () => {
          nowMs += ms;
          return outcome();
        });
      expect(guard.stats().latencyMs).toBeNull();
      await taking(8);
      expect(guard.stats().latencyMs).toBe(8);
      await taking(16);
      expect(guard.stats().latencyMs).toBe(9);
      await errorOf(taking(100, () => Promise.reject(reset)));
      expect(guard.stats().latencyMs).toBe(9);
      await taking(9.01);
      expect(guard.stats().latencyMs).toBe(9.001);
    });
  });

  it('puts no content into its messages', async () => {
    const failure = await errorOf(guard.run('get', () => Promise.reject(new Error('key llm1.secret'))));
    expect(failure.message).not.toContain('secret');
  });
});

async function timeOut(guard: StoreGuard): Promise<void> {
  const failing = errorOf(guard.run('get', never));
  await jest.advanceTimersByTimeAsync(TIMEOUT_MS);
  expect((await failing).kind).toBe('timeout');
}

function errorOf(running: Promise<unknown>): Promise<LlmCacheStoreError> {
  return running.then(
    () => Promise.reject(new Error('it succeeded')),
    (error: unknown) => error as LlmCacheStoreError,
  );
}

/** What a promise has come to, without waiting for it. */
function outcomeOf(running: Promise<unknown>): { kind: string; message?: string } {
  const outcome: { kind: string; message?: string } = { kind: 'pending' };
  running.then(
    () => (outcome.kind = 'done'),
    (error: unknown) => Object.assign(outcome, { kind: (error as LlmCacheStoreError).kind, message: (error as Error).message }),
  );
  return outcome;
}
