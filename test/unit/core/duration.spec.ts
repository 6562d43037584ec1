import { describe, expect, it } from '@jest/globals';
import { durationMs } from '../../../lib/core/duration.js';

describe('duration', () => {
  it.each([
    [1, 1],
    [250, 250],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    ['1ms', 1],
    ['500ms', 500],
    ['30s', 30_000],
    ['15m', 900_000],
    ['12h', 43_200_000],
    ['7d', 604_800_000],
    ['365d', 31_536_000_000],
  ])('%j is %d ms', (written, ms) => {
    expect(durationMs(written)).toBe(ms);
  });

  const none: unknown[] = [
    0, -0, -1, 1.5, Number.NaN, Infinity, -Infinity, Number.MAX_SAFE_INTEGER + 1, 1n,
    '', '0s', '0ms', '-1s', '+1s', '1.5h', '1e3ms', '0x10s', '1,000ms', '1_000ms', '1 s', ' 1s', '1s ', '1s\n', '1S', '1M',
    's', 'soon', '10', '1w', '1y', '1sec', '1h30m', '１s', '99999999999999999999d', '104249991375d',
    true, false, null, undefined, {}, [], [1], new Date(1), new Number(5), { valueOf: () => 5 }, () => 5, Symbol('1s'),
  ];
  it.each(none.map((written) => [written]))('%p is none (%#)', (written) => {
    expect(durationMs(written)).toBeUndefined();
  });
});
