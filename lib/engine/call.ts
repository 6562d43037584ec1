import { checkOptions } from '../core/check-options.js';
import { LlmCacheError, ScopeRequiredError, UncacheableInputError } from '../core/errors.js';
import { durationMs } from '../core/duration.js';
import type { PiiOptions, Redaction } from '../core/pii.js';
import type { CacheableFilter, CacheControl, CallOptions, KeyParts, ModelConfig, StaleOptions } from '../core/types.js';
import { keyOf, type KeyDocument } from '../key/key.js';
import { checkCacheControl, mergeCacheControl, NO_CONTROL, unite } from '../policy/cache-control.js';
import { NEVER_STALE, stalenessOf, staleRules, type Staleness } from '../policy/staleness.js';
import { chunkCodec, type ChunkCodec } from '../streaming/chunk-codec.js';
import { ambient } from './ambient.js';
import type { CallFrame } from './call-frame.js';
import { documentOf, mergeConfig, shortName, STATEFUL } from './document.js';
import type { Settings } from './engine-options.js';
import type { Privacy } from './privacy.js';

/** What a decorated method fixes for all its calls. Ambient and per-call control come after it. */
export interface MethodDefaults {
  ttl?: CacheControl['ttl'];
  stale?: StaleOptions;
  cacheable?: CacheableFilter | undefined;
  tags?: string[] | undefined;
  /** Makes the class instance out of stored plain data. */
  revive?: ((plain: unknown) => unknown) | undefined;
  /** Digest of the method's source. Not part of the key; an entry remembers it, so that a hit from another source is noticed. */
  body?: string | undefined;
  /** The caller reads the answer chunk by chunk. */
  chunks?: boolean;
  /** Why this call has to bypass the cache. */
  bypass?: string;
  /** What is done about personal data. */
  privacy?: Privacy | undefined;
  /** What it made of the question. */
  redaction?: Redaction<unknown> | undefined;
  /** See {@link Call.isFromRaw}. */
  isFromRaw?: () => boolean;
  /** See {@link Call.isCopiedAtOnce}. */
  isCopiedAtOnce?: boolean;
}

/** What the caller of one call says about it. */
export interface Caller {
  control?: CacheControl | undefined;
  stale?: StaleOptions | undefined;
  cacheable?: CacheableFilter | undefined;
  signal?: AbortSignal | undefined;
  pii?: PiiOptions | false | undefined;
  /** Why this call has to bypass the cache. */
  bypass?: string;
}

/** The options of a call. Options that cannot be read make the call bypass the cache. */
export function callerOf(options: CallOptions): Caller {
  try {
    const { signal, cacheable, pii, staleWhileRevalidate, staleIfError, ...control } = options;
    const stale = staleWhileRevalidate === undefined && staleIfError === undefined ? undefined : { staleWhileRevalidate, staleIfError };
    return { signal, cacheable, pii, stale, control };
  } catch {
    return { bypass: 'its options cannot be read' };
  }
}

/** One call with everything about it resolved. */
export interface Call {
  readonly name: string;
  /** `undefined` when the call bypasses the cache; `bypassReason` says why. */
  readonly key: string | undefined;
  readonly document: KeyDocument | undefined;
  /** As the caller gave them; still the caller's own objects. */
  readonly parts: KeyParts;
  readonly bypassReason: string | undefined;
  readonly control: CacheControl;
  readonly staleness: Staleness;
  readonly model: ModelConfig;
  readonly scope: KeyParts['scope'];
  readonly filters: readonly CacheableFilter[];
  readonly revive: MethodDefaults['revive'];
  readonly body: MethodDefaults['body'];
  /** How chunks are written and read; `undefined` for a caller of a whole answer. */
  readonly chunks: ChunkCodec | undefined;
  /** What is done about personal data. */
  readonly privacy: Privacy | undefined;
  /** What it made of the question. */
  readonly redaction: Redaction<unknown> | undefined;
  /** Whether its answer was computed from the raw question although the model must not see that. */
  readonly isFromRaw: (() => boolean) | undefined;
  /** Whether what is sent is copied when the upstream call starts: what is written to the arguments later does not reach it. */
  readonly isCopiedAtOnce: boolean;
  readonly signal: AbortSignal | undefined;
  /** The call this one is made inside. */
  readonly parent: CallFrame | undefined;
  readonly startedAtMs: number;
  /** Of a reader of chunks: aborts when it leaves before there is anything to read. */
  readonly left?: () => AbortSignal;
  /** No caller waits for it: it renews a stale answer that was served. */
  readonly isRefresh?: true;
  /** The stale answer that takes the place of a failure, which ends the call; `undefined` where there is none for it. */
  readonly insteadOf?: (error: unknown) => Promise<{ value: unknown } | undefined>;
}

/** The call with the signal that its reader can leave by; made only where there is something to wait for. */
export function untilLeft(call: Call): Call {
  if (call.left === undefined) return call;
  const { left, ...waiting } = call;
  return { ...waiting, signal: eitherSignal(call.signal, left()) };
}

/**
 * Calls inside follow the same control; an answer with a ttl is not made from older ones. An observer of this one call
 * is not told of them, one of everything around it is.
 */
export function controlInside({ control }: Call): Call['control'] {
  const { ttl, maxAge = ttl === false ? undefined : ttl } = control;
  return { ...control, maxAge, onOutcome: ambient().control?.onOutcome };
}

/** Works out what a call is. Never throws: what cannot be worked out makes the call bypass the cache, with a reason. */
export function resolveCall(
  settings: Settings,
  parts: KeyParts,
  caller: Caller,
  defaults: MethodDefaults,
  startedAtMs: number,
): Call {
  const { frame, control: outer } = ambient();
  const control = withDefaults(mergeCacheControl(outer, caller.control), defaults);
  let bypassReason = reasonToBypass(settings, control, defaults.bypass ?? caller.bypass) ?? wrongSignal(caller.signal) ?? wrongWindow(caller.stale);
  let document: KeyDocument | undefined;
  let key: string | undefined;
  if (bypassReason === undefined) {
    try {
      document = documentOf(settings, parts, control, defaults.privacy?.label);
      key = keyOf(document, settings.secret);
    } catch (error) {
      bypassReason = bypassReasonOf(error);
    }
    if (key !== undefined && frame?.isInside(key)) {
      bypassReason = 'reentrant';
      key = undefined;
    }
  }
  return {
    name: document?.name ?? (typeof parts?.name === 'string' ? shortName(parts.name) : 'unnamed'),
    key,
    document,
    parts,
    bypassReason,
    control,
    staleness: bypassReason === undefined ? stalenessFor(settings, caller, defaults, frame) : NEVER_STALE,
    model: configurationOf(settings, parts),
    scope: document === undefined ? parts?.scope : document.scope,
    filters: filtersOf(settings.cacheable, defaults.cacheable, caller.cacheable),
    revive: defaults.revive,
    body: defaults.body,
    privacy: defaults.privacy,
    redaction: defaults.redaction,
    isFromRaw: defaults.isFromRaw,
    isCopiedAtOnce: defaults.isCopiedAtOnce === true,
    chunks: defaults.chunks ? chunkCodec(defaults.revive) : undefined,
    signal: eitherSignal(frame?.signal, caller.signal instanceof AbortSignal ? caller.signal : undefined),
    parent: frame,
    startedAtMs,
  };
}

function wrongSignal(signal: unknown): string | undefined {
  return signal === undefined || signal instanceof AbortSignal ? undefined : 'the option `signal` is no AbortSignal';
}

function wrongWindow(stale: StaleOptions | undefined): string | undefined {
  if (stale === undefined) return undefined;
  try {
    checkOptions<StaleOptions>('CallOptions', stale, staleRules);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** The caller's windows over the method's over the module's. What a refresh is made of is asked anew as well. */
function stalenessFor(settings: Settings, caller: Caller, defaults: MethodDefaults, frame: CallFrame | undefined): Staleness {
  const staleness = stalenessOf(stalenessOf(settings.staleness, defaults.stale), caller.stale);
  return frame?.isRefresh ? { ...staleness, whileRevalidateMs: 0 } : staleness;
}

/** The model configuration for calls made inside; where it cannot be read, the module's. */
function configurationOf(settings: Settings, parts: KeyParts | undefined): ModelConfig {
  try {
    return mergeConfig(settings.model, parts?.model);
  } catch {
    return settings.model;
  }
}

type MaybeFilter = CacheableFilter | undefined;

const NO_FILTERS: readonly CacheableFilter[] = [];

function filtersOf(module: MaybeFilter, method: MaybeFilter, caller: MaybeFilter): readonly CacheableFilter[] {
  if (module === undefined && method === undefined && caller === undefined) return NO_FILTERS;
  return [module, method, caller].filter((filter) => filter !== undefined);
}

/** A decorator's ttl yields to the caller's control; its tags are added. */
function withDefaults(control: CacheControl, { ttl, tags }: MethodDefaults): CacheControl {
  if (ttl === undefined && tags === undefined) return control;
  return { ...control, ttl: control.ttl ?? ttl, tags: unite(tags, control.tags) };
}

/** Aborts with the first of them. */
export function eitherSignal(outer: AbortSignal | undefined, own: AbortSignal | undefined): AbortSignal | undefined {
  return outer === undefined || own === undefined ? (own ?? outer) : AbortSignal.any([outer, own]);
}

function reasonToBypass(settings: Settings, control: CacheControl, bypass: string | undefined): string | undefined {
  if (settings.mode === 'off') return 'off';
  if (bypass !== undefined) return bypass;
  if (control === NO_CONTROL) return undefined;
  try {
    checkCacheControl('CacheControl', control);
  } catch (error) {
    return (error as Error).message;
  }
  return control.bypass ? 'requested' : undefined;
}

function bypassReasonOf(error: unknown): string {
  if (LlmCacheError.isInstance(error)) {
    if (UncacheableInputError.isInstance(error)) {
      return error.problem === STATEFUL ? 'stateful request' : `uncacheable input: ${error.path} is ${error.problem}`;
    }
    return ScopeRequiredError.isInstance(error) ? 'scope-required' : error.message;
  }
  return 'the key could not be derived';
}

export function controlTtlMs(settings: Settings, control: CacheControl): number | false {
  return control.ttl === undefined ? settings.ttlMs : control.ttl === false ? false : durationMs(control.ttl)!;
}
