import { ScopeRequiredError, UncacheableInputError } from '../core/errors.js';
import { ignoreRejection } from '../core/thenable.js';
import type { KeyParts } from '../core/types.js';
import { ambient } from './ambient.js';
import type { Settings } from './engine-options.js';

/** The tenant of a call: named by its parts, by the call it is made inside, or by the module's resolver. */
export function resolveScope(option: Settings['scope'], given: KeyParts['scope']): string | number | undefined {
  const named: unknown = isGiven(given) ? given : ambient().frame?.scope;
  const scope: unknown = isGiven(named) ? named : callResolver(option);
  if (!isGiven(scope)) {
    if (option?.required) throw new ScopeRequiredError();
    return undefined;
  }
  if (typeof scope === 'string' || Number.isFinite(scope)) return scope as string | number;
  throw new UncacheableInputError('scope', 'neither a string nor a finite number');
}

function isGiven(scope: unknown): boolean {
  return scope !== undefined && scope !== null && scope !== '';
}

function callResolver(option: Settings['scope']): unknown {
  try {
    const scope: unknown = option?.resolve();
    ignoreRejection(scope);
    return scope;
  } catch {
    throw new UncacheableInputError('scope', 'unknown, because scope.resolve threw');
  }
}
