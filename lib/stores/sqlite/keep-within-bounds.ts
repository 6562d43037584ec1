import type { Recency } from './recency.js';
import { SLICE_ROWS, type SqliteDatabase, type Totals } from './sqlite-database.js';

export interface Bounds {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

const CANDIDATES = 32;

/**
 * Part of each write transaction: removes a slice of what has expired, then of what was used least recently while
 * there is too much. A slice is larger than a batch, so a store that is opened with lower bounds gets below them.
 */
export function keepWithinBounds(database: SqliteDatabase, bounds: Bounds, recency: Recency, nowMs: number): Totals {
  database.removeExpired(nowMs);
  let totals = database.totals();
  for (let looked = 0; exceeds(totals, bounds) && looked < SLICE_ROWS; looked += CANDIDATES) {
    evict(database, totals, bounds, recency);
    totals = database.totals();
  }
  return totals;
}

function evict(database: SqliteDatabase, totals: Totals, bounds: Bounds, recency: Recency): void {
  let { entries, bytes } = totals;
  const candidates = database.leastRecentlyUsed(CANDIDATES);
  if (candidates.length === 0) database.resetTotals();
  for (const candidate of candidates) {
    if (!exceeds({ entries, bytes }, bounds)) return;
    const read = recency.takeOne(candidate.key);
    if (read === undefined) {
      database.removeRow(candidate.id);
      entries -= 1;
      bytes -= candidate.bytes;
    } else {
      database.touchRow(candidate.id, read);
    }
  }
}

function exceeds({ entries, bytes }: Totals, { maxEntries, maxBytes }: Bounds): boolean {
  return entries > maxEntries || bytes > maxBytes;
}
