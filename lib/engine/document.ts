import { isRecord, stringOrNumber } from '../core/check-options.js';
import { UncacheableInputError } from '../core/errors.js';
import type { CacheControl, KeyParts, ModelConfig } from '../core/types.js';
import { canonicalForm } from '../key/canonical-form.js';
import type { KeyDocument } from '../key/key.js';
import { isRequest, statefulField, withoutDeclared } from '../policy/chat-request.js';
import type { Settings } from './engine-options.js';
import { resolveScope } from './resolve-scope.js';

/** Why a request that continues state has no key. */
export const STATEFUL = 'state kept by the provider';

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

function refuseStateful(path: string, request: Record<string, unknown>): void {
  const field = statefulField(request);
  if (field !== undefined) throw new UncacheableInputError(`${path}.${field}`, STATEFUL);
}
