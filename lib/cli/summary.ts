import type { LedgerTotals } from '../observability/ledger.js';
import { numeral, timeSpan } from './progress-line.js';

/** What came of a batch. */
export interface BatchTally {
  /** Requests of this run. */
  readonly asked: number;
  /** Different questions among them. */
  readonly unique: number;
  /** Answers that were in the output already. */
  readonly kept: number;
  /** Lines that were no requests. */
  readonly skipped: number;
  /** How many failed, by their code. */
  readonly failures: ReadonlyMap<string, number>;
  readonly elapsedMs: number;
}

export function failureCount({ failures }: Pick<BatchTally, 'failures'>): number {
  return [...failures.values()].reduce((sum, count) => sum + count, 0);
}

/** The end of a batch in a few lines. */
export function summaryOf(tally: BatchTally, { hits, coalesced, upstream, tokens, ms }: LedgerTotals): string {
  const { asked, unique, kept, skipped, failures, elapsedMs } = tally;
  return tableOf([
    ['asked', numeral(asked), kept > 0 ? `${numeral(kept)} more were answered in the output already` : ''],
    ['unique', numeral(unique), ''],
    ['hits', numeral(hits), coalesced > 0 ? `${numeral(coalesced)} more shared the call of an equal request` : ''],
    ['upstream calls', numeral(upstream), ''],
    ['failed', numeral(failureCount(tally)), [...failures].map(([code, count]) => `${numeral(count)} × ${code}`).join(', ')],
    ...(skipped > 0 ? [['skipped lines', numeral(skipped), ''] as const] : []),
    ['tokens', numeral(tokens.spent), `spent, ${numeral(tokens.saved)} saved`],
    ['time', timeSpan(elapsedMs), `${timeSpan(ms.spent)} of upstream calls spent, ${timeSpan(ms.saved)} saved`],
  ]);
}

/** What a batch would come to. */
export interface Forecast {
  readonly asked: number;
  readonly unique: number;
  readonly kept: number;
  readonly skipped: number;
  /** Requests with a stored answer. */
  readonly stored: number;
  readonly calls: number;
}

export function forecastOf({ asked, unique, kept, skipped, stored, calls }: Forecast): string {
  return tableOf([
    ['to ask', numeral(asked), kept > 0 ? `${numeral(kept)} more were answered in the output already` : ''],
    ['unique', numeral(unique), ''],
    ['stored', numeral(stored), ''],
    ...(skipped > 0 ? [['skipped lines', numeral(skipped), ''] as const] : []),
    ['upstream calls', numeral(calls), 'would be made'],
    ['calls saved', numeral(asked - calls), ''],
  ]);
}

function tableOf(rows: ReadonlyArray<readonly [name: string, value: string, remark: string]>): string {
  const [left, right] = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length))) as [number, number];
  return rows.map(([name, value, remark]) => `${name.padEnd(left)}  ${value.padStart(right)}  ${remark}`.trimEnd()).join('\n');
}
