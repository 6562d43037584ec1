import type { Tiers } from '../stores/tiers.js';
import type { Settings } from './engine-options.js';

/** What works, and should not stay as it is. */
export function startUpAdvice({ mode, secret }: Settings, tiers: Tiers): string[] {
  const shared = tiers.all.find((tier) => tier.isShared);
  if (mode === 'off' || secret !== undefined || shared === undefined) return [];
  return [
    `${shared.name} may have other readers, and keys are plain SHA-256: whoever can list it can confirm a guessed prompt, tenant or tag. ` +
      'Set the option `secret` (at least 32 random bytes, the same in every process).',
  ];
}
