import { isRecord } from '../core/check-options.js';
import type { EventSource } from '../observability/events.js';
import type { TierListener } from '../stores/tier.js';

/** Tells of what goes wrong in a store: each failure as an event, and once as a warning. */
export function tierListener(events: EventSource): TierListener {
  return {
    onTierError: (tier, operation, error) => {
      events.emit({ type: 'store-error', tier, operation, message: error.message });
      if (error.kind !== 'skipped') events.warnOnce(`${tier}: ${error.message}${codeOf(error.cause)}. Calls go on without it.`);
    },
    onTierNotice: (tier, message) => events.warnOnce(`${tier}: ${message}`),
  };
}

/** ` (ECONNREFUSED)`: a code says what is wrong and holds no content. */
function codeOf(cause: unknown): string {
  const code: unknown = isRecord(cause) ? cause['code'] : undefined;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(code) ? ` (${code})` : '';
}
