import {
  aFunction,
  checkOptions,
  isRecord,
  duration,
  durationOrFalse,
  either,
  stringList,
  stringOrNumber,
  trueOrFalse,
  type OptionRules,
} from '../core/check-options.js';
import { ignoreRejection } from '../core/thenable.js';
import type { CacheControl, CacheOutcome } from '../core/types.js';

export const cacheControlRules: OptionRules<CacheControl> = {
  noCache: trueOrFalse,
  noStore: trueOrFalse,
  onlyIfCached: trueOrFalse,
  bypass: trueOrFalse,
  maxAge: either(duration, { accepts: '0', test: (value) => value === 0 }),
  ttl: durationOrFalse,
  tags: stringList,
  sample: stringOrNumber,
  onOutcome: aFunction,
};

/** @throws LlmCacheConfigError naming the field. */
export function checkCacheControl(owner: string, control: unknown): void {
  checkOptions<CacheControl>(owner, control, cacheControlRules);
}

/** The control of a call that says nothing. */
export const NO_CONTROL: CacheControl = Object.freeze({});

function isControl(control: CacheControl | undefined): control is CacheControl {
  return isRecord(control);
}

/** The inner control over the outer: fields override, tags are united, every `onOutcome` is told. */
export function mergeCacheControl(outer: CacheControl | undefined, inner: CacheControl | undefined): CacheControl {
  if (!isControl(outer) || !isControl(inner)) return inner ?? outer ?? NO_CONTROL;
  const given = Object.fromEntries(Object.entries(inner).filter(([, value]) => value !== undefined));
  return {
    ...outer,
    ...given,
    tags: unite(outer.tags, inner.tags),
    onOutcome: both(outer.onOutcome, inner.onOutcome),
  };
}

/** What is no list is handed on as it is, for {@link checkCacheControl} to refuse. */
export function unite(a: string[] | undefined, b: string[] | undefined): string[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (!Array.isArray(a)) return a;
  return Array.isArray(b) ? [...new Set([...a, ...b])] : b;
}

type OnOutcome = (outcome: CacheOutcome) => void;

function both(outer: OnOutcome | undefined, inner: OnOutcome | undefined): OnOutcome | undefined {
  if (outer === undefined || inner === undefined) return outer ?? inner;
  return (outcome) => {
    try {
      ignoreRejection(inner(outcome));
    } finally {
      ignoreRejection(outer(outcome));
    }
  };
}
