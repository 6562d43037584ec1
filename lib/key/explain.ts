import { canonicalForm } from './canonical-form.js';
import type { KeyDocument } from './key.js';
import { children } from './locate.js';

/** One reason why two calls do not share an entry. Holds no content. */
export interface KeyDifference {
  /** Where they differ, such as `model.temperature` or `input[0].messages[1].content`. */
  path: string;
  /** `added` or `removed`: only the second, or only the first, has it. `type`: of different types. `value`: same type, other value. */
  kind: 'added' | 'removed' | 'type' | 'value';
}

/** Every difference between two key documents, outermost first. */
export function differences(a: KeyDocument, b: KeyDocument): KeyDifference[] {
  const parts = ['namespace', 'scope', 'name', 'provider', 'versions', 'sample', 'stream', 'model', 'input'] as const;
  return parts.flatMap((part) => compare(part === 'versions' ? 'version' : part, a[part], b[part]));
}

function compare(path: string, a: unknown, b: unknown): KeyDifference[] {
  if (canonicalForm(a) === canonicalForm(b)) return [];
  if (a === undefined) return [{ path, kind: 'added' }];
  if (b === undefined) return [{ path, kind: 'removed' }];
  if (!canBeOpened(a) || !canBeOpened(b)) return [{ path, kind: typeOf(a) === typeOf(b) ? 'value' : 'type' }];
  if (Array.isArray(a) !== Array.isArray(b)) return [{ path, kind: 'type' }];
  const left = new Map(children(a));
  const right = new Map(children(b));
  const inner = [...new Set([...left.keys(), ...right.keys()])].flatMap((step) =>
    compare(path + step, left.get(step), right.get(step)),
  );
  return inner.length > 0 ? inner : [{ path, kind: 'value' }];
}

/** Arrays and objects that count by their fields; a Date or a Map is one value. */
function canBeOpened(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || 'toJSON' in value) return false;
  return /^[ao]/.test(canonicalForm(value));
}

/** The type letter of the canonical form. */
function typeOf(value: unknown): string {
  return canonicalForm(value).charAt(0);
}
