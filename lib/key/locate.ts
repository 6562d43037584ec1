import { canonicalForm, type Budget } from './canonical-form.js';
import { digest } from './digest.js';

/**
 * The path to the innermost part of a value that has no canonical form, such as `[0].tools[2].run`.
 * Runs only once a value is refused, so that the common walk need not track where it is. What it may walk is bounded:
 * of a value that hides its culprit well, the path ends early.
 */
export function locate(value: unknown): string {
  try {
    return stepsTo(value, [], { nodes: 100_000, characters: 16 * 1024 * 1024 });
  } catch {
    return ''; // a getter of the caller's threw on the way
  }
}

/** A longer path helps nobody, and each step walks the rest again. */
const SHOWN_STEPS = 20;

function stepsTo(value: unknown, ancestors: readonly unknown[], budget: Budget): string {
  if (typeof value !== 'object' || value === null || ancestors.length > SHOWN_STEPS) return '';
  const line = [...ancestors, value];
  const refused = children(value).find(([, child]) => line.includes(child) || isRefused(child, budget));
  if (refused === undefined || budget.nodes < 0) return '';
  const [step, child] = refused;
  return line.includes(child) ? step : step + stepsTo(child, line, budget);
}

function isRefused(value: unknown, budget: Budget): boolean {
  if (budget.nodes < 0) return false;
  try {
    canonicalForm(value, budget);
    return false;
  } catch {
    return true;
  }
}

/** The parts of a value with the step that leads to each, in path notation. */
export function children(value: object): Array<[step: string, child: unknown]> {
  if (Array.isArray(value)) return Array.from(value, (child: unknown, index) => [`[${index}]`, child]);
  if (value instanceof Map) return [...value].flatMap(([key, child]) => [['.key()', key], ['.get()', child]]);
  if (value instanceof Set) return [...value].map((child) => ['.has()', child]);
  return Object.keys(value).sort().map((key) => [stepTo(key), (value as Record<string, unknown>)[key]]);
}

/** Field names are shown, but a key that reads like data (an address, a sentence) only as a digest. */
function stepTo(key: string): string {
  return /^[\p{ID_Start}_$][\p{ID_Continue}$]{0,39}$/u.test(key) ? `.${key}` : `[#${digest(key).slice(0, 8)}]`;
}
