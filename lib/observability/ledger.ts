import type { CacheStatus, LlmUsage } from '../core/types.js';

/** Counts since the module started. Spent and saved never mix. */
export interface LedgerTotals {
  /** Calls answered from a store. Each call is counted once, by its outcome. */
  hits: number;
  /** Calls that no stored answer would do for. */
  misses: number;
  /** Calls answered from a store past the answer's lifetime; see `staleWhileRevalidate` and `staleIfError`. */
  stale: number;
  /** Calls that shared the upstream call of another. */
  coalesced: number;
  /** Calls that ran uncached, or were aborted before they started. */
  bypassed: number;
  /** Answers stored. */
  stored: number;
  /** Answers served and kept out by the gate or by their nature. */
  refused: number;
  /** Stored entries that were damaged, of an unknown format, or another key's. */
  rejected: number;
  /** Upstream calls made; one around another counts as the inner alone. */
  upstream: number;
  /** Upstream calls that failed. */
  errors: number;
  /** Tokens as providers reported them. */
  tokens: {
    /** Of upstream calls. */
    spent: number;
    /** Of answers that needed none. */
    saved: number;
  };
  /** Milliseconds of upstream calls. */
  ms: {
    /** That callers waited. */
    spent: number;
    /** That they did not have to wait. */
    saved: number;
  };
}

const COUNTER = { hit: 'hits', miss: 'misses', stale: 'stale', coalesced: 'coalesced', bypass: 'bypassed' } as const;

/** Keeps the totals. */
export class Ledger {
  private readonly totals: LedgerTotals = {
    hits: 0,
    misses: 0,
    stale: 0,
    coalesced: 0,
    bypassed: 0,
    stored: 0,
    refused: 0,
    rejected: 0,
    upstream: 0,
    errors: 0,
    tokens: { spent: 0, saved: 0 },
    ms: { spent: 0, saved: 0 },
  };

  count(status: CacheStatus): void {
    this.totals[COUNTER[status]]++;
  }

  countAnswer(fate: 'stored' | 'refused' | 'rejected'): void {
    this.totals[fate]++;
  }

  countUpstream(failed: boolean, ms: number): void {
    this.totals.upstream++;
    if (failed) this.totals.errors++;
    this.totals.ms.spent += ms;
  }

  spend(usage: LlmUsage | undefined): void {
    this.totals.tokens.spent += usage?.totalTokens ?? 0;
  }

  save(ms: number, usage: LlmUsage | undefined): void {
    this.totals.ms.saved += ms;
    this.totals.tokens.saved += usage?.totalTokens ?? 0;
  }

  snapshot(): LedgerTotals {
    return structuredClone(this.totals);
  }
}
