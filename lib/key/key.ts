import type { ModelConfig } from '../core/types.js';
import { UncacheableInputError } from '../core/errors.js';
import { canonicalForm, Refusal } from './canonical-form.js';
import { digest } from './digest.js';
import { locate } from './locate.js';
import type { Secret } from './secret.js';

/** Everything an answer depends on. Two calls share an entry exactly when their documents have one canonical form. */
export interface KeyDocument {
  namespace: string;
  scope: string | number | undefined;
  name: string;
  /** The LlmProvider of the module: a decorated method may call it. */
  provider: string | undefined;
  /** The module's version and the method's. */
  versions: readonly [string | number | undefined, string | number | undefined];
  sample: string | number | undefined;
  /** Whether the answer is a stream, where that is part of what the call is. */
  stream?: boolean | undefined;
  /** What was done about personal data: mode, redactor and its version. */
  redaction?: string | undefined;
  model: ModelConfig;
  input: unknown;
}

/** Bumped when the document or its canonical form changes: old entries become unreachable, never misread. */
const KEY_SCHEMA = 'llm1';
/** Of keys made with a secret: they never meet the others. */
const KEYED_SCHEMA = 'llm1k';

/**
 * `llm1.<namespace>.<fingerprint>`, where the fingerprint is the SHA-256 of the document's canonical form. With a secret
 * `llm1k.<namespace>.<fingerprint>`, and the fingerprint is its HMAC-SHA256 under a key of the namespace and the scope.
 * @throws UncacheableInputError naming the path of a value that has no canonical form.
 */
export function keyOf(document: KeyDocument, secret?: Secret): string {
  const content = contentOf(document);
  const { namespace, scope } = document;
  const fingerprint = secret === undefined ? digest(content) : secret.digest('entry', canonicalForm(namespace) + canonicalForm(scope), content);
  return keyPrefix(namespace, secret) + fingerprint;
}

/** What every key of a namespace starts with. */
export function keyPrefix(namespace: string, secret?: Secret): string {
  return `${secret === undefined ? KEY_SCHEMA : KEYED_SCHEMA}.${encodeNamespace(namespace)}.`;
}

function contentOf({ namespace, scope, name, provider, versions, sample, stream, redaction, model, input }: KeyDocument): string {
  const [moduleVersion, methodVersion] = versions;
  const identity = canonicalForm(namespace) + canonicalForm(name) + canonicalForm(scope) + canonicalForm(provider);
  const variant = canonicalForm(moduleVersion) + canonicalForm(methodVersion) + canonicalForm(sample);
  // The model is always an object, so what stands before it cannot be taken for it: whole answers keep the keys they had.
  const shape = (stream ? canonicalForm('stream') : '') + (redaction === undefined ? '' : canonicalForm('redaction') + canonicalForm(redaction));
  return identity + variant + shape + part('model', model) + part('input', input);
}

function part(path: string, value: unknown): string {
  try {
    return canonicalForm(value);
  } catch (error) {
    // A getter or a toJSON of the caller's may throw anything, with anything in its message.
    if (!(error instanceof Refusal)) throw new UncacheableInputError(path, 'an object that throws when it is read');
    throw new UncacheableInputError(path + locate(value), error.problem);
  }
}

const encodedNamespaces = new Map<string, string>();

/** Lossless and free of separators; a long namespace is shown by its digest. */
export function encodeNamespace(namespace: string): string {
  let encoded = encodedNamespaces.get(namespace);
  if (encoded === undefined) {
    encoded = namespace.replace(/[^\w-]/g, (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
    if (encoded.length > 100) encoded = `~${digest(namespace)}`;
    if (encodedNamespaces.size < 1_000) encodedNamespaces.set(namespace, encoded);
  }
  return encoded;
}
