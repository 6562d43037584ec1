import { checkOptions, either, nonEmptyString, stringList, stringOrNumber, aRecord } from '../core/check-options.js';
import { LlmCacheConfigError } from '../core/errors.js';
import type { InvalidationTarget } from '../core/types.js';
import { keyPrefix } from '../key/key.js';
import { groupOf, namespaceGroup, shortName } from './call.js';

/** @throws LlmCacheConfigError for a key of another namespace, or of somebody else's entry in a shared store. */
export function checkOwnKey(namespace: string, key: string): void {
  if (key.startsWith(keyPrefix(namespace)) && key.length === keyPrefix(namespace).length + 43) return;
  throw new LlmCacheConfigError('LlmCache.invalidate: option "key" must be key parts, or a key from this namespace, as keyFor() gives it.');
}

/** The groups whose version an invalidation bumps. An entry by key belongs to no group of its own. */
export function groupsToBump(namespace: string, target: InvalidationTarget | 'everything'): string[] {
  if (target === 'everything') return [namespaceGroup(namespace)];
  checkOptions<InvalidationTarget>('LlmCache.invalidate', target, {
    tags: stringList,
    name: nonEmptyString,
    scope: stringOrNumber,
    key: either(nonEmptyString, { ...aRecord, accepts: 'key parts' }),
  });
  const { tags = [], name, scope, key } = target;
  const groups = [
    ...tags.map((tag) => groupOf(namespace, 'tag', tag)),
    ...(name === undefined ? [] : [groupOf(namespace, 'name', shortName(name))]),
    ...(scope === undefined ? [] : [groupOf(namespace, 'scope', scope)]),
  ];
  if (groups.length > 0 || key !== undefined) return groups;
  throw new LlmCacheConfigError('LlmCache.invalidate: give tags, name, scope or key; to remove everything call clear().');
}
