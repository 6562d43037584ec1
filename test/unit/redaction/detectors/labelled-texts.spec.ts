import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { BUILT_IN_ENTITIES, detectBuiltIn } from '../../../../lib/redaction/detectors/built-in-detectors.js';
import type { PiiSpan } from '../../../../lib/core/pii.js';

interface LabelledText {
  text: string;
  spans: PiiSpan[];
  label?: string;
}

interface Measured {
  rows: Array<{ type: string; labelled: number; found: number; predicted: number; right: number }>;
  outside: string[];
  missed: string[];
  negatives: Array<{ kind: string; texts: number; flagged: number }>;
}

const root = new URL('../../../../', import.meta.url);
const { measurePii } = (await import(new URL('scripts/pii-measure.mjs', root).href)) as {
  measurePii(texts: LabelledText[], detect: (text: string) => PiiSpan[], types: readonly string[]): Measured;
};

const textsOf = (file: string): LabelledText[] =>
  readFileSync(new URL(`test/fixtures/pii/${file}`, root), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as LabelledText);
const measure = (texts: LabelledText[]): Measured => measurePii(texts, (text) => detectBuiltIn(text, BUILT_IN_ENTITIES), BUILT_IN_ENTITIES);

/** The least share of the labelled values that has to be found. */
const RECALL: Record<string, number> = { EMAIL: 1, SSN: 1, IBAN: 1, IP: 1, SECRET: 1, CREDIT_CARD: 0.99, PHONE: 0.6 };
const MOST_FLAGGED = 0.04;

describe('on labelled texts', () => {
  const { rows, outside, missed } = measure(textsOf('labelled.jsonl'));

  it.each(Object.entries(RECALL))('%s: recall of at least %d', (type, recall) => {
    const { labelled, found } = rows.find((row) => row.type === type)!;
    expect(labelled).toBeGreaterThan(8);
    expect({ missed, recall: found / labelled >= recall }).toMatchObject({ recall: true });
  });

  it('finds nothing outside the labels, and each value as what it is', () => {
    expect(outside).toEqual([]);
    expect(rows.filter(({ predicted, right }) => predicted !== right)).toEqual([]);
  });
});

describe('on texts with nothing personal in them', () => {
  it(`flags at most ${MOST_FLAGGED * 100} %`, () => {
    const { negatives, outside } = measure(textsOf('negatives.jsonl'));
    expect(negatives[0]!.texts).toBeGreaterThan(70);
    expect({ outside, few: negatives[0]!.flagged <= MOST_FLAGGED * negatives[0]!.texts }).toMatchObject({ few: true });
  });

  it.each([8, 10, 12, 13, 16, 18, 19])(`flags at most ${MOST_FLAGGED * 100} %% of the ids of %d digits`, (length) => {
    let state = length;
    const nextDigit = (): number => (state = (state * 48_271) % 2_147_483_647) % 10;
    const ids = Array.from({ length: 2_000 }, () => Array.from({ length }, nextDigit).join(''));
    const { negatives } = measure(ids.map((id) => ({ text: `row id ${id} updated`, spans: [], label: 'randid' })));
    expect(negatives[0]).toMatchObject({ kind: 'random ids', texts: 2_000 });
    expect(negatives[0]!.flagged / 2_000).toBeLessThanOrEqual(MOST_FLAGGED);
  });
});

describe('the measure itself', () => {
  it('counts a value as found when each of its letters and digits is covered', () => {
    const text = '(99) 645-791';
    const label = { start: 0, end: text.length, type: 'PHONE' };
    const recallOf = (...spans: PiiSpan[]): number => measurePii([{ text, spans: [label], label: '' }], () => spans, ['PHONE', 'SSN']).rows[0]!.found;
    expect(recallOf({ start: 1, end: 12, type: 'PHONE' })).toBe(1);
    expect(recallOf({ start: 1, end: 8, type: 'PHONE' }, { start: 9, end: 12, type: 'SSN' })).toBe(1);
    expect(recallOf({ start: 2, end: 12, type: 'PHONE' })).toBe(0);
    expect(recallOf()).toBe(0);
  });
});
