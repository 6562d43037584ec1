import { Injectable, Logger } from '@nestjs/common';
import { LlmCache } from '../engine/llm-cache.js';
import type { LlmCacheEvent } from '../observability/events.js';

/** One debug line per call, and warnings for what a developer should act on. No line holds content. */
@Injectable()
export class LlmCacheLogger {
  private readonly logger = new Logger('LlmCache');

  constructor(llmCache: LlmCache) {
    llmCache.on(
      (event) => this.log(event),
      showsDebug,
    );
  }

  private log(event: LlmCacheEvent): void {
    switch (event.type) {
      case 'warning':
        return this.logger.warn(event.message);
      case 'store-error':
        return this.logger.debug(`${event.tier}: ${event.message}`);
      case 'rejected':
        return this.logger.warn(`${event.name}: an entry in ${event.tier} was not used (${event.problem}); the answer is computed anew.`);
      default:
        this.logger.debug(line(event));
    }
  }
}

/** Nest 11 says no to every level while none is chosen, and prints them all. */
function showsDebug(): boolean {
  return Logger.isLevelEnabled('debug') || !Logger.isLevelEnabled('fatal');
}

/** `hit TicketsService.summary 0.2 ms, saved 812 ms` */
function line({ type, name, durationMs, outcome }: Extract<LlmCacheEvent, { outcome: unknown }>): string {
  const saved = outcome.savedMs === undefined ? '' : `, saved ${Math.round(outcome.savedMs)} ms`;
  const reason = outcome.reason === undefined ? '' : `, ${outcome.reason}`;
  return `${type} ${name} ${durationMs.toFixed(1)} ms${saved}${reason}`;
}
