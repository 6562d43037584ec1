import { digest } from '../key/digest.js';

/** Enough of a SHA-256 to tell two texts of one method apart. */
const LENGTH = 16;

/**
 * A digest of a method's source, from its parameters on: what was renamed and kept its `name` is still the same body.
 * `undefined` where the source does not show, as that of a bound function.
 */
export function bodyDigest(method: (...args: never[]) => unknown): string | undefined {
  const source = Function.prototype.toString.call(method);
  if (source.endsWith('{ [native code] }')) return undefined;
  return digest(source.slice(source.indexOf('('))).slice(0, LENGTH);
}
