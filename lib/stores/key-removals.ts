import { randomBytes } from 'node:crypto';
import type { Tier } from './tier.js';

/** Counts the keys that were removed, by all processes. */
const COUNTER = 'llm1.removals';

/** Is told of entries that were removed by their key. */
export interface KeyRemovalListener {
  /** By somebody in this process, who waits for it to count here. */
  onRemovedHere(key: string): void;
  /** By somebody in this process, and every store has confirmed it. */
  onRemovalConfirmed(key: string): void;
  /** By another process: what is held of the entry here is old, what the shared store has is not. */
  onRemovedElsewhere(key: string): void;
  /** Somewhere, and nobody knows which. */
  onRemovalsMissed(): void;
}

/**
 * A key has no version, so its removal is told to every user of the store. Other processes are told by a message; a
 * counter in the store shows them when they have missed one.
 */
export class KeyRemovals {
  /** How many this process knows of; changes with each one. */
  applied = 0;
  /** Of the counter, up to where every removal was heard of. */
  private seen: number | undefined;
  private readonly listeners = new Set<KeyRemovalListener>();
  private readonly sender = randomBytes(6).toString('base64url');

  constructor(private readonly tier: Tier) {}

  /** @returns a function that ends it */
  listen(listener: KeyRemovalListener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Tells the users of the store in this process, at once. */
  announce(key: string): void {
    this.applied++;
    for (const listener of this.listeners) listener.onRemovedHere(key);
  }

  /** Tells the users of the store in this process that the entry is gone everywhere. */
  confirm(key: string): void {
    for (const listener of this.listeners) listener.onRemovalConfirmed(key);
  }

  /** Tells the other processes. @throws LlmCacheStoreError when the store has not confirmed that it does. */
  async publish(key: string): Promise<void> {
    if (!this.tier.isCoordinated) return;
    const count = await this.tier.increase(COUNTER, this.seen, `${this.sender} ${key}`);
    this.advance(count); // its message may come later than the next look at the counter
  }

  /** Finds out whether removals were missed. @throws LlmCacheStoreError when the store does not say. */
  async verify(): Promise<void> {
    if (!this.tier.isCoordinated) return;
    const [count] = await this.tier.counts([COUNTER]);
    // A message may be no more than late; then memory is filled again from the store for nothing.
    if (this.seen !== undefined && this.seen !== count) {
      this.applied++;
      for (const listener of this.listeners) listener.onRemovalsMissed();
    }
    this.seen = count;
  }

  /** Takes a message of the store; false when it is about something else. */
  hear(name: string, count: number, note = ''): boolean {
    if (name !== COUNTER) return false;
    // One that comes before its predecessor leaves a difference behind, which shows when it is verified.
    this.advance(count);
    const [sender, key] = note.split(' ');
    if (sender === this.sender || !key) return true;
    this.applied++;
    for (const listener of this.listeners) listener.onRemovedElsewhere(key);
    return true;
  }

  private advance(count: number): void {
    if (this.seen !== undefined && count === this.seen + 1) this.seen = count;
  }
}
