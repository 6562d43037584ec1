import type { CacheOutcome } from 'nestjs-llm-cache';

const CACHE = 'nestjs-llm-cache';

/** What is known of a call that goes on upstream before it has ended. */
export const FORWARDED = `${CACHE}; fwd=miss`;

/** An outcome as the `Cache-Status` of RFC 9211. */
export function cacheStatus({ status, stored, reason }: CacheOutcome): string {
  const parts: string[] = [CACHE];
  if (status === 'hit' || status === 'stale') parts.push('hit');
  else if (status === 'bypass') parts.push('fwd=bypass');
  else if (reason !== 'only-if-cached') parts.push('fwd=miss'); // which went nowhere
  if (stored) parts.push('stored');
  if (status === 'coalesced') parts.push('collapsed');
  if (reason !== undefined) parts.push(`detail=${quoted(reason)}`);
  return parts.join('; ');
}

/** A string of RFC 8941: printable ASCII only. */
function quoted(text: string): string {
  return `"${text.replaceAll(/[^ -~]/g, '?').replaceAll(/["\\]/g, '\\$&')}"`;
}
