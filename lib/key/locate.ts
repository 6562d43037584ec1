import { canonicalForm } from './canonical-form.js';
import { digest } from './digest.js';

/**
 * The path to the innermost part of a value that has no canonical form, such as `[0].tools[2].run`.
 * Runs only once a value is refused, so that the common walk need not track where it is.
 */
export function locate(value: unknown): string {
  try {
    return stepsTo(value, []);
  } catch {
    return ''; // a getter of the caller's threw on the way
  }
}

function stepsTo(value: unknown, ancestors: readonly unknown[]): string {
  if (typeof value !== 'object' || value === null || ancestors.length > SHOWN_STEPS) return '';
  const refused = children(value).find(([, child]) => ancestors.includes(child) || child === value || isRefused(child));
  if (refused === undefined) return '';
  const [step, child] = refused;
  return ancestors.includes(child) || child === value ? step : step + stepsTo(child, [...ancestors, value]);
}

/** A longer path helps nobody, and each step walks the rest again. */
const SHOWN_STEPS = 20;

function isRefused(value: unknown): boolean {
  try {
    canonicalForm(value);
    return false;
  } catch {
    return true;
  }
}

/** The parts of a value with the step that leads to each, in path notation. */
export function children(value: object): Array<[step: string, child: unknown]> {
  if (Array.isArray(value)) return value.map((child, index) => [`[${index}]`, child]);
  if (value instanceof Map) return [...value].flatMap(([key, child]) => [['.key()', key], ['.get()', child]]);
  if (value instanceof Set) return [...value].map((child) => ['.has()', child]);
  return Object.keys(value).sort().map((key) => [stepTo(key), (value as Record<string, unknown>)[key]]);
}

/** Field names are shown, but a key that reads like data (an address, a sentence) only as a digest. */
function stepTo(key: string): string {
  return /^[\p{ID_Start}_$][\p{ID_Continue}$]{0,39}$/u.test(key) ? `.${key}` : `[#${digest(key).slice(0, 8)}]`;
}
