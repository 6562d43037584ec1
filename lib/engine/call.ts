import { isRecord, stringOrNumber } from '../core/check-options.js';
import { LlmCacheError, ScopeRequiredError, UncacheableInputError } from '../core/errors.js';
import { durationMs } from '../core/duration.js';
import type { PiiOptions, Redaction } from '../core/pii.js';
import type { CacheableFilter, CacheControl, CallOptions, KeyParts, ModelConfig } from '../core/types.js';
import { canonicalForm } from '../key/canonical-form.js';
import { keyOf, type KeyDocument } from '../key/key.js';
import { checkCacheControl, mergeCacheControl, NO_CONTROL, unite } from '../policy/cache-control.js';
import { isRequest, statefulField, withoutDeclared } from '../policy/chat-request.js';
import { chunkCodec, type ChunkCodec } from '../streaming/chunk-codec.js';
import { ambient } from './ambient.js';
import type { CallFrame } from './call-frame.js';
import type { Settings } from './engine-options.js';
import type { Privacy } from './privacy.js';
import { resolveScope } from './resolve-scope.js';

/** What a decorated method fixes for all its calls. Ambient and per-call control come after it. */
export interface MethodDefaults {
  ttl?: CacheControl['ttl'];
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
}

/** What the caller of one call says about it. */
export interface Caller {
  control?: CacheControl | undefined;
  cacheable?: CacheableFilter | undefined;
  signal?: AbortSignal | undefined;
  pii?: PiiOptions | false | undefined;
  /** Why this call has to bypass the cache. */
  bypass?: string;
}

/** The options of a call. Options that cannot be read make the call bypass the cache. */
export function callerOf(options: CallOptions): Caller {
  try {
    const { signal, cacheable, pii, ...control } = options;
    return { signal, cacheable, pii, control };
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
  readonly signal: AbortSignal | undefined;
  /** The call this one is made inside. */
  readonly parent: CallFrame | undefined;
  readonly startedAtMs: number;
  /** Of a reader of chunks: aborts when it leaves before there is anything to read. */
  readonly left?: () => AbortSignal;
}

/** The call with the signal that its reader can leave by; made only where there is something to wait for. */
export function untilLeft({ left, ...call }: Call): Call {
  return left === undefined ? call : { ...call, signal: eitherSignal(call.signal, left()) };
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
  let bypassReason = reasonToBypass(settings, control, defaults.bypass ?? caller.bypass) ?? wrongSignal(caller.signal);
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
    model: configurationOf(settings, parts),
    scope: document === undefined ? parts?.scope : document.scope,
    filters: filtersOf(settings.cacheable, defaults.cacheable, caller.cacheable),
    revive: defaults.revive,
    body: defaults.body,
    privacy: defaults.privacy,
    redaction: defaults.redaction,
    isFromRaw: defaults.isFromRaw,
    chunks: defaults.chunks ? chunkCodec(defaults.revive) : undefined,
    signal: eitherSignal(frame?.signal, caller.signal instanceof AbortSignal ? caller.signal : undefined),
    parent: frame,
    startedAtMs,
  };
}

function wrongSignal(signal: unknown): string | undefined {
  return signal === undefined || signal instanceof AbortSignal ? undefined : 'the option `signal` is no AbortSignal';
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

/**
 * The document behind a key.
 * @throws UncacheableInputError, ScopeRequiredError or LlmCacheConfigError where `wrap` would bypass.
 */
export function documentOf(settings: Settings, parts: KeyParts, control: CacheControl, redaction?: string): KeyDocument {
  if (typeof parts?.name !== 'string' || parts.name === '') throw new UncacheableInputError('name', 'not a non-empty string');
  checkParts(parts);
  if (parts.model !== undefined && !isConfig(parts.model)) throw new UncacheableInputError('model', 'not a plain object');
  const configuration = mergeConfig(settings.model, parts.model);
  refuseStateful('model', configuration);
  const model = withoutDeclared(configuration, settings.volatile);
  const input = requestInput(parts.input, settings.volatile);
  return {
    namespace: settings.namespace,
    scope: resolveScope(settings.scope, parts.scope),
    name: shortName(parts.name),
    provider: settings.providerId,
    versions: [settings.version, parts.version],
    sample: control.sample,
    stream: parts.stream,
    redaction,
    model,
    input,
  };
}

/** `A#A.method` and `A.method` are the same identity. */
export function shortName(name: string): string {
  const at = name.indexOf('#');
  return at > 0 && name.startsWith(`${name.slice(0, at)}.`, at + 1) ? name.slice(at + 1) : name;
}

const PARTS: ReadonlySet<string> = new Set(['name', 'input', 'model', 'version', 'scope', 'stream']);

/** A part that is not known would not be in the key. */
function checkParts(parts: KeyParts): void {
  for (const part of Object.keys(parts)) {
    if (!PARTS.has(part)) throw new UncacheableInputError(part, 'none of the key parts (name, input, model, version, scope, stream)');
  }
  if (parts.version !== undefined && !stringOrNumber.test(parts.version)) {
    throw new UncacheableInputError('version', 'neither a non-empty string nor a finite number');
  }
  if (parts.stream !== undefined && typeof parts.stream !== 'boolean') throw new UncacheableInputError('stream', 'neither true nor false');
}

/** What shows nothing when it is merged (a promise, a Map) would silently drop out of the key. */
function isConfig(value: unknown): boolean {
  return isRecord(value) && (Object.keys(value).length > 0 || canonicalForm(value) === canonicalForm({}));
}

/** The inner configuration over the outer; a field that is `undefined` is not given. */
export function mergeConfig(outer: ModelConfig, given: ModelConfig | undefined): ModelConfig {
  if (!isRecord(given)) return outer;
  if (Object.keys(outer).length === 0) return given;
  return { ...outer, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
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

/** Declared volatile fields are dropped from a request, whether it is the input or one of a method's arguments. */
function requestInput(input: unknown, volatile: ReadonlySet<string>): unknown {
  if (isRequest(input)) return cleanRequest('input', input, volatile);
  if (!Array.isArray(input) || !input.some(isRequest)) return input;
  return input.map((argument: unknown, index) =>
    isRequest(argument) ? cleanRequest(`input[${index}]`, argument, volatile) : argument,
  );
}

function cleanRequest(path: string, request: Record<string, unknown>, volatile: ReadonlySet<string>): unknown {
  refuseStateful(path, request);
  return withoutDeclared(request, volatile);
}

const STATEFUL = 'state kept by the provider';

function refuseStateful(path: string, request: Record<string, unknown>): void {
  const field = statefulField(request);
  if (field !== undefined) throw new UncacheableInputError(`${path}.${field}`, STATEFUL);
}

export function controlTtlMs(settings: Settings, control: CacheControl): number | false {
  return control.ttl === undefined ? settings.ttlMs : control.ttl === false ? false : durationMs(control.ttl)!;
}
