import { checkOptions, either, nonEmptyString, stringList, stringOrNumber, aRecord } from '../core/check-options.js';
import { LlmCacheConfigError, LlmCacheInvalidationError } from '../core/errors.js';
import type { InvalidationTarget } from '../core/types.js';
import { groupOf, namespaceGroup } from '../key/groups.js';
import { keyPrefix } from '../key/key.js';
import type { GroupVersions } from '../stores/group-versions.js';
import type { Tiers } from '../stores/tiers.js';
import { shortName } from './document.js';
import type { Settings } from './engine-options.js';
import type { Upstream } from './upstream.js';

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

/** Applies what is removed: to the calls under way here, to what is held here, to the stores, and so to other processes. */
export class Invalidation {
  /** Ends what is heard of other users' removals. */
  readonly stop: () => void;

  constructor(
    settings: Settings,
    private readonly tiers: Tiers,
    private readonly versions: GroupVersions,
    private readonly upstream: Upstream,
  ) {
    const stopGroups = versions.listen((group) => upstream.fence([group], undefined));
    const stopKeys = versions.removals.listen({
      onRemovedHere: (key) => {
        upstream.fence([], key);
        tiers.forget(key);
      },
      onRemovalConfirmed: (key) => tiers.confirmRemoval(key),
      onRemovedElsewhere: (key) => {
        upstream.fence([], key);
        tiers.letGo(key);
      },
      onRemovalsMissed: () => {
        upstream.fenceAll();
        tiers.letGoAll(keyPrefix(settings.namespace, settings.secret));
      },
    });
    this.stop = () => {
      stopGroups();
      stopKeys();
    };
  }

  /** @throws LlmCacheInvalidationError when a store did not confirm. */
  async remove(groups: readonly string[], key?: string): Promise<void> {
    this.upstream.fence(groups, undefined);
    const { last } = this.tiers;
    const bumped = settled(last.name, this.versions.bump(groups));
    const removed = key === undefined ? [] : await this.removeEntry(key);
    const failures = [...(await bumped), ...removed];
    if (failures.length > 0) {
      throw new LlmCacheInvalidationError([...new Set(failures.map(({ tier }) => tier))], { cause: failures[0]!.error });
    }
  }

  /** Other processes are told when the shared store has it: what they read then is no older. */
  private async removeEntry(key: string): Promise<Failure[]> {
    this.versions.removals.announce(key);
    const removed = await this.tiers.remove(key);
    const failures = [...removed, ...(await settled(this.tiers.last.name, this.versions.removals.publish(key)))];
    if (failures.length === 0) this.versions.removals.confirm(key);
    return failures;
  }
}

interface Failure {
  readonly tier: string;
  readonly error: unknown;
}

function settled(tier: string, done: Promise<void>): Promise<Failure[]> {
  return done.then(
    () => [],
    (error: unknown) => [{ tier, error }],
  );
}
