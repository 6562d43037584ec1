import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CellRate } from '../../../../lib/llm/batch/cell-rate.js';

const MINUTE_MS = 60_000;

/** Takes amounts one after another, each as soon as it may; returns when each was taken. */
function takeAll(rate: CellRate, amounts: readonly number[]): Array<{ atMs: number; amount: number }> {
  let nowMs = 1_000;
  return amounts.map((amount) => {
    nowMs += rate.waitMs(amount, nowMs);
    rate.take(amount, nowMs);
    return { atMs: nowMs, amount };
  });
}

/** The most that any minute holds. */
function fullestMinute(taken: ReadonlyArray<{ atMs: number; amount: number }>): number {
  const minutes = taken.map(({ atMs }) => taken.filter((other) => other.atMs >= atMs && other.atMs < atMs + MINUTE_MS));
  return Math.max(...minutes.map((minute) => minute.reduce((sum, { amount }) => sum + amount, 0)));
}

describe('CellRate', () => {
  it.each([
    [1, 1, 60_000],
    [2, 1, 30_000],
    [60, 3, 60_000 / 58],
    [600, 30, 60_000 / 571],
    [6_000, 300, 60_000 / 5_701],
  ])('lets a twentieth of %i a minute go at once (%i), then one about every %f ms', (perMinute, burst, everyMs) => {
    const taken = takeAll(new CellRate(perMinute), Array.from({ length: burst + 3 }, () => 1));
    expect(taken.slice(0, burst).map(({ atMs }) => atMs)).toEqual(Array.from({ length: burst }, () => 1_000));
    for (const [place, { atMs }] of taken.slice(burst).entries()) {
      const dueMs = 1_000 + (place + 1) * everyMs;
      expect(atMs).toBeGreaterThanOrEqual(dueMs - 0.001);
      expect(atMs).toBeLessThan(dueMs + place + 1); // each is rounded up
    }
  });

  it('holds no minute above the limit, however many wait', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 900 }), (perMinute, count) => {
        const taken = takeAll(new CellRate(perMinute), Array.from({ length: count }, () => 1));
        expect(fullestMinute(taken)).toBeLessThanOrEqual(perMinute);
      }),
    );
  });

  it('exceeds the limit by no more than one amount larger than the burst', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 10_000 }), fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1, maxLength: 100 }), (perMinute, amounts) => {
        expect(fullestMinute(takeAll(new CellRate(perMinute), amounts))).toBeLessThanOrEqual(perMinute + Math.max(...amounts));
      }),
    );
  });

  it('uses all but a twentieth of what is allowed', () => {
    const taken = takeAll(new CellRate(600), Array.from({ length: 2_000 }, () => 1));
    expect(taken.at(-1)!.atMs).toBeLessThan((2_000 / 600 / 0.94) * MINUTE_MS);
  });

  it('saves up no more than a burst while nothing is asked for', () => {
    const rate = new CellRate(60);
    rate.take(1, 0);
    const later = 10 * MINUTE_MS;
    for (let count = 0; count < 3; count++) {
      expect(rate.waitMs(1, later)).toBe(0);
      rate.take(1, later);
    }
    expect(rate.waitMs(1, later)).toBeGreaterThan(1_000);
  });

  it('is corrected by what an amount came to', () => {
    const rate = new CellRate(6_000);
    rate.take(6_000, 0);
    const owed = rate.waitMs(1, 0);
    rate.correct(-6_000);
    expect(rate.waitMs(1, 0)).toBe(0);
    rate.correct(6_000);
    expect(rate.waitMs(1, 0)).toBeCloseTo(owed, 6);
  });

  it('lets an amount larger than the limit go once everything is paid', () => {
    const rate = new CellRate(100);
    expect(rate.waitMs(1_000, 0)).toBe(0);
    rate.take(1_000, 0);
    expect(rate.waitMs(1_000, 0)).toBeGreaterThan(9 * MINUTE_MS);
  });
});
