import type { PiiSpan, PiiType } from '../../core/pii.js';

/** Which type a merged span has: the first of these that takes part. Types of other detectors come last. */
const PRIORITY: readonly PiiType[] = ['SECRET', 'CREDIT_CARD', 'IBAN', 'SSN', 'EMAIL', 'IP', 'PHONE'];

function rank({ type }: PiiSpan): number {
  const place = PRIORITY.indexOf(type);
  return place === -1 ? PRIORITY.length : place;
}

/**
 * Sorts spans and makes one of those that overlap: it covers all of them and has the type of the highest priority, at equal
 * priority the type of the one that starts first. Spans that only touch stay apart. The spans given are not changed.
 */
export function mergeSpans(spans: readonly PiiSpan[]): PiiSpan[] {
  const sorted = spans.toSorted((a, b) => a.start - b.start || b.end - a.end || rank(a) - rank(b));
  const merged: PiiSpan[] = [];
  let winner: PiiSpan | undefined;
  for (const span of sorted) {
    const last = merged.at(-1);
    if (last === undefined || winner === undefined || span.start >= last.end) {
      merged.push({ ...span });
      winner = span;
      continue;
    }
    if (rank(span) < rank(winner)) winner = span;
    merged[merged.length - 1] = { ...winner, start: last.start, end: Math.max(last.end, span.end) };
  }
  return merged;
}
