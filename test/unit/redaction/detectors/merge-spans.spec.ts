import { describe, expect, it } from '@jest/globals';
import { mergeSpans } from '../../../../lib/redaction/detectors/merge-spans.js';
import type { PiiSpan } from '../../../../lib/core/pii.js';

const span = (written: string): PiiSpan => {
  const [type, start, end] = written.split(' ');
  return { type: type!, start: Number(start), end: Number(end) };
};

describe('mergeSpans', () => {
  it.each([
    ['nothing', [], []],
    ['sorts', ['EMAIL 5 9', 'PHONE 0 3'], ['PHONE 0 3', 'EMAIL 5 9']],
    ['keeps what only touches apart', ['EMAIL 3 6', 'EMAIL 0 3'], ['EMAIL 0 3', 'EMAIL 3 6']],
    ['joins what overlaps, of the type with the higher priority', ['PHONE 0 5', 'CREDIT_CARD 3 9'], ['CREDIT_CARD 0 9']],
    ['in whichever order', ['CREDIT_CARD 0 5', 'PHONE 3 9'], ['CREDIT_CARD 0 9']],
    ['what lies inside', ['EMAIL 0 9', 'SECRET 2 4'], ['SECRET 0 9']],
    ['a chain', ['PHONE 0 3', 'IP 2 5', 'SSN 4 8', 'EMAIL 8 9'], ['SSN 0 8', 'EMAIL 8 9']],
    ['equal spans', ['EMAIL 0 3', 'EMAIL 0 3'], ['EMAIL 0 3']],
    ["other detectors' types give way", ['BADGE 0 5', 'PHONE 1 2'], ['PHONE 0 5']],
    ['and among themselves the first wins', ['DOOR 2 6', 'BADGE 0 3'], ['BADGE 0 6']],
  ])('%s', (_what, given, expected) => {
    const spans = given.map(span);
    const before = structuredClone(spans);
    expect(mergeSpans(spans)).toEqual(expected.map(span));
    expect(spans).toEqual(before);
  });
});
