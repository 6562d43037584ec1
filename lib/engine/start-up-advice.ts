import type { Tiers } from '../stores/tiers.js';
import type { Settings } from './engine-options.js';

/** What works, and should not stay as it is. */
export function startUpAdvice({ mode, secret, pii }: Settings, tiers: Tiers): string[] {
  const shared = tiers.all.find((tier) => tier.isShared);
  const atRest = tiers.all.find((tier) => tier.isPersistent);
  const advice: string[] = [];
  if (mode === 'off') return advice;
  if (secret === undefined && shared !== undefined) {
    advice.push(
      `${shared.name} may have other readers, and keys are plain SHA-256: whoever can list it can confirm a guessed prompt, tenant or tag. ` +
        'Set the option `secret` (at least 32 random bytes, the same in every process).',
    );
  }
  if (pii === undefined && atRest !== undefined) {
    advice.push(
      `${atRest.name} keeps answers, and nobody looks for personal data in them. ` +
        "Set the option `pii`, such as pii: { mode: 'bypass' }, or pii: false if that is on purpose.",
    );
  }
  return advice;
}
