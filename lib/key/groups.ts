import { canonicalForm } from './canonical-form.js';
import { digest } from './digest.js';
import { keyPrefix, type KeyDocument } from './key.js';
import type { Secret } from './secret.js';

/** The groups every answer to a question belongs to; each has a version that an invalidation bumps. Tags are groups too. */
export function groupsOf({ namespace, name, scope }: KeyDocument, secret: Secret | undefined): string[] {
  const groups = [namespaceGroup(namespace, secret), groupOf(namespace, 'name', name, secret)];
  if (scope !== undefined) groups.push(groupOf(namespace, 'scope', scope, secret));
  return groups;
}

/** Of two secrets each has its own: what one app clears, the other still has. */
export function namespaceGroup(namespace: string, secret: Secret | undefined): string {
  const group = `${keyPrefix(namespace, secret)}versions`;
  return secret === undefined ? group : `${group}.${groupDigest(namespace, 'namespace', secret)}`;
}

/** Names, scopes and tags are hashed: a store's keys show none of them. */
export function groupOf(namespace: string, kind: 'name' | 'scope' | 'tag', value: string | number, secret: Secret | undefined): string {
  return `${keyPrefix(namespace, secret)}versions.${groupDigest(namespace, `${kind} ${typeof value} ${value}`, secret)}`;
}

function groupDigest(namespace: string, group: string, secret: Secret | undefined): string {
  return secret === undefined ? digest(group) : secret.digest('group', canonicalForm(namespace), group);
}
