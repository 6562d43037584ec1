import { checkOptions, either, nonEmptyString, stringList, stringOrNumber, aRecord } from '../core/check-options.js';
import { LlmCacheConfigError } from '../core/errors.js';
import type { InvalidationTarget } from '../core/types.js';
import { groupOf, namespaceGroup } from '../key/groups.js';
import { keyPrefix } from '../key/key.js';
import { shortName } from './call.js';
import type { Settings } from './engine-options.js';

type KeySpace = Pick<Settings, 'namespace' | 'secret'>;

/** @throws LlmCacheConfigError for a key of another namespace, or of somebody else's entry in a shared store. */
export function checkOwnKey({ namespace, secret }: KeySpace, key: string): void {
  const prefix = keyPrefix(namespace, secret);
  if (key.startsWith(prefix) && key.length === prefix.length + 43) return;
  throw new LlmCacheConfigError('LlmCache.invalidate: option "key" must be key parts, or a key from this namespace, as keyFor() gives it.');
}

/** The groups whose version an invalidation bumps. An entry by key belongs to no group of its own. */
export function groupsToBump({ namespace, secret }: KeySpace, target: InvalidationTarget | 'everything'): string[] {
  if (target === 'everything') return [namespaceGroup(namespace, secret)];
  checkOptions<InvalidationTarget>('LlmCache.invalidate', target, {
    tags: stringList,
    name: nonEmptyString,
    scope: stringOrNumber,
    key: either(nonEmptyString, { ...aRecord, accepts: 'key parts' }),
  });
  const { tags = [], name, scope, key } = target;
  const groups = [
    ...tags.map((tag) => groupOf(namespace, 'tag', tag, secret)),
    ...(name === undefined ? [] : [groupOf(namespace, 'name', shortName(name), secret)]),
    ...(scope === undefined ? [] : [groupOf(namespace, 'scope', scope, secret)]),
  ];
  if (groups.length > 0 || key !== undefined) return groups;
  throw new LlmCacheConfigError('LlmCache.invalidate: give tags, name, scope or key; to remove everything call clear().');
}
