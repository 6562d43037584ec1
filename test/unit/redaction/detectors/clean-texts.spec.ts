import { describe, expect, it } from '@jest/globals';
import { builtInDetector } from '../../../../lib/redaction/detectors/built-in-detectors.js';
import { CleanTexts } from '../../../../lib/redaction/detectors/clean-texts.js';

describe('CleanTexts', () => {
  it('remembers texts, forgets the older ones, and holds no more than it may', () => {
    const clean = new CleanTexts();
    const text = (index: number): string => `${index} `.padEnd(1_000, '-');
    for (let index = 0; index < 5_000; index++) {
      clean.add(text(index));
      expect(clean.has(text(index))).toBe(true);
    }
    const held = Array.from({ length: 5_000 }, (_, index) => clean.has(text(index))).filter(Boolean).length;
    expect(held).toBeGreaterThan(500);
    expect(held).toBeLessThanOrEqual(1_050);
    expect(clean.has(text(0))).toBe(false);
  });

  it('does not hold long texts', () => {
    const clean = new CleanTexts();
    clean.add('x'.repeat(4_097));
    expect(clean.has('x'.repeat(4_097))).toBe(false);
  });
});

describe('builtInDetector', () => {
  it('finds the same the second time', () => {
    const detector = builtInDetector();
    for (let time = 0; time < 2; time++) {
      expect(detector.detect('mail ann@example.com')).toEqual([{ start: 5, end: 20, type: 'EMAIL' }]);
      expect(detector.detect('nothing to see here')).toEqual([]);
    }
  });
});
