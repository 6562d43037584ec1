import { describe, expect, it } from '@jest/globals';
import { FakeClock } from 'nestjs-llm-cache/testing';
import { Pace } from '../../../../lib/llm/batch/pace.js';
import { settled } from '../../../fixtures/deferred.js';

const NEVER = new AbortController().signal;

/** Asks for permits, and notes at which millisecond each comes. */
function asker(pace: Pace, clock: FakeClock, signal = NEVER) {
  const at: number[] = [];
  const ask = (tokens = 0) =>
    pace.permit(() => tokens, signal).then((permit) => {
      at.push(clock.monotonic());
      return permit;
    });
  return { at, ask };
}

async function advance(clock: FakeClock, ms: number, stepMs = 1_000): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    clock.advance(stepMs);
    await settled();
  }
}

describe('Pace', () => {
  it('lets everything go without limits', async () => {
    const clock = new FakeClock();
    const { at, ask } = asker(new Pace(clock, {}), clock);
    await Promise.all(Array.from({ length: 100 }, () => ask(1_000_000)));
    expect(at).toHaveLength(100);
  });

  it('spreads requests over the minute, in the order they asked', async () => {
    const clock = new FakeClock();
    const pace = new Pace(clock, { requestsPerMinute: 20 });
    const order: string[] = [];
    for (const name of ['a', 'b', 'c']) void pace.permit(() => 0, NEVER).then(() => order.push(name));
    await settled();
    expect(order).toEqual(['a']);
    await advance(clock, 3_000);
    expect(order).toEqual(['a', 'b']);
    await advance(clock, 3_000);
    expect(order).toEqual(['a', 'b', 'c']);
  });

  it('counts tokens, and corrects them once they are known', async () => {
    const clock = new FakeClock();
    const { at, ask } = asker(new Pace(clock, { tokensPerMinute: 6_000 }), clock);
    const first = await ask(3_000);
    void ask(3_000);
    await settled();
    expect(at).toHaveLength(1);
    first.settle({ tokens: 10 });
    await advance(clock, 1_000);
    expect(at).toHaveLength(2);
  });

  it('takes back what was not sent', async () => {
    const clock = new FakeClock();
    const { at, ask } = asker(new Pace(clock, { requestsPerMinute: 1 }), clock);
    for (let count = 0; count < 10; count++) (await ask()).settle(undefined);
    expect(at).toHaveLength(10);
  });

  it('sends nothing while the provider asks to wait', async () => {
    const clock = new FakeClock();
    const pace = new Pace(clock, {});
    const { at, ask } = asker(pace, clock);
    expect(pace.hold(5_000, Infinity)).toBe(true);
    expect(pace.hold(2_000, Infinity)).toBe(true); // a shorter wait does not cut the longer one
    void ask();
    await advance(clock, 4_000);
    expect(at).toEqual([]);
    await advance(clock, 1_000);
    expect(at).toEqual([5_000]);
  });

  it('waits a second where no time is named, twice as long each time, and a second again after an answer', () => {
    const clock = new FakeClock();
    const pace = new Pace(clock, {});
    const waits = Array.from({ length: 9 }, () => {
      const startedAt = clock.monotonic();
      pace.hold(undefined, Infinity);
      const { heldUntilMs } = pace as unknown as { heldUntilMs: number };
      clock.advance(heldUntilMs - startedAt);
      return heldUntilMs - startedAt;
    });
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    pace.resume();
    expect(pace.hold(undefined, clock.monotonic() + 1_000)).toBe(true);
  });

  it('counts refusals of requests that were under way together as one', () => {
    const clock = new FakeClock();
    const pace = new Pace(clock, {});
    for (let count = 0; count < 8; count++) pace.hold(undefined, Infinity);
    expect((pace as unknown as { heldUntilMs: number }).heldUntilMs).toBe(1_000);
  });

  it('does not wait beyond the end', async () => {
    const clock = new FakeClock();
    const pace = new Pace(clock, {});
    expect(pace.hold(5_001, 5_000)).toBe(false);
    expect(pace.hold(undefined, 999)).toBe(false);
    const { at, ask } = asker(pace, clock);
    await ask();
    expect(at).toEqual([0]);
  });

  it('rejects with the reason of an abort, and lets the next one go', async () => {
    const clock = new FakeClock();
    const pace = new Pace(clock, { requestsPerMinute: 1 });
    const controller = new AbortController();
    const { ask } = asker(pace, clock);
    await ask();
    const waiting = pace.permit(() => 0, controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    const next = ask();
    await advance(clock, 61_000, 10_000);
    await expect(next).resolves.toBeDefined();
  });
});
