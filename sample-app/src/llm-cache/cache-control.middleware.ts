import type { IncomingMessage, ServerResponse } from 'node:http';
import { Injectable, type NestMiddleware } from '@nestjs/common';
import { type CacheOutcome, withCacheControl } from 'nestjs-llm-cache';
import { cacheStatus } from './cache-status.js';

/** Follows the request's `Cache-Control`, and says in the response what the cache did. */
@Injectable()
export class CacheControlMiddleware implements NestMiddleware {
  use(request: IncomingMessage, response: ServerResponse, next: () => void): void {
    const directives = new Set(request.headers['cache-control']?.toLowerCase().split(/\s*,\s*/));
    const control = {
      onlyIfCached: directives.has('only-if-cached'),
      noCache: directives.has('no-cache'),
      noStore: directives.has('no-store'),
      // A decorated method and the call inside it report one after the other: the last word is the method's.
      onOutcome: (outcome: CacheOutcome) => tell(response, outcome),
    };
    withCacheControl(control, next);
  }
}

function tell(response: ServerResponse, outcome: CacheOutcome): void {
  if (response.headersSent) return; // a stream that is no hit has its outcome at its end
  const { status, savedMs = 0, usage } = outcome;
  response.setHeader('Cache-Status', cacheStatus(outcome));
  response.setHeader('X-LLM-Cache', status);
  response.setHeader('X-LLM-Cache-Saved-Ms', Math.round(savedMs));
  response.setHeader('X-LLM-Tokens', usage?.totalTokens ?? 0);
}
