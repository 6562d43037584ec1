import type { BatchProgress } from '../llm/batch/batch-options.js';

/** How far a batch is, in one line: `1,200 of 10,000 · 310 hits · 2 failed · 95/s · 1 m 32 s left`. */
export function progressLine({ done, total, hits, coalesced, failures, perSecond, remainingMs }: BatchProgress): string {
  const parts = [
    total === undefined ? `${numeral(done)} done` : `${numeral(done)} of ${numeral(total)}`,
    `${numeral(hits)} hits`,
    ...(coalesced > 0 ? [`${numeral(coalesced)} shared`] : []),
    ...(failures > 0 ? [`${numeral(failures)} failed`] : []),
    `${rate(perSecond)}/s`,
    ...(remainingMs === undefined || done === total ? [] : [`${timeSpan(remainingMs)} left`]),
  ];
  return parts.join(' · ');
}

/** With separators, in English wherever it runs. */
export function numeral(count: number): string {
  return count.toLocaleString('en');
}

export function timeSpan(ms: number): string {
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60];
  if (hours > 0) return `${numeral(hours)} h ${minutes} m`;
  return minutes > 0 ? `${minutes} m ${seconds % 60} s` : `${seconds} s`;
}

function rate(perSecond: number): string {
  return perSecond < 9.95 ? perSecond.toFixed(1) : numeral(Math.round(perSecond));
}
