import { ignoreRejection } from '../core/thenable.js';
import type { CacheOutcome } from '../core/types.js';

/** What the module tells a listener. Never a prompt, an argument or an answer. */
export type LlmCacheEvent =
  /** One call ended; its `type` is the outcome's status. */
  | {
      /** The outcome's status. */
      type: 'hit' | 'miss' | 'stale' | 'coalesced' | 'bypass';
      /** The identity of the call. */
      name: string;
      /** How long the caller waited, milliseconds. */
      durationMs: number;
      /** What happened, as `onOutcome` is told. */
      outcome: CacheOutcome;
    }
  /** A stored entry was not used: it is damaged, belongs to another key, or cannot be read here. */
  | {
      /** A stored entry was not used. */
      type: 'rejected';
      /** The identity of the call that found it. */
      name: string;
      /** Name of the tier that holds it. */
      tier: string;
      /**
       * `swapped`: it belongs to another key. With `encryption`, `damaged` is also what was encrypted for another key or
       * tenant. `unknown-key`: encrypted with a key this app does not have. `not-encrypted`: though this app encrypts.
       */
      problem: 'unknown-format' | 'damaged' | 'swapped' | 'unknown-key' | 'not-encrypted';
    }
  /** A store operation failed or took too long. */
  | {
      /** A store operation failed. */
      type: 'store-error';
      /** Name of the tier. */
      tier: string;
      /** What was tried. */
      operation: 'get' | 'set' | 'delete';
      /** What went wrong, in words of this package: no text of the store. */
      message: string;
    }
  /** Something a developer should act on; said once. */
  | {
      /** A warning, said once. */
      type: 'warning';
      /** What is wrong and what to do about it. */
      message: string;
    };

/** Is told of events. What it throws reaches nobody. */
export type LlmCacheListener = (event: LlmCacheEvent) => void;

/** Tells listeners; what one throws reaches nobody. */
export class EventSource {
  private readonly listeners = new Map<LlmCacheListener, () => boolean>();
  private readonly said = new Set<string>();

  /**
   * @param wantsCalls Whether the listener has a use for the events of single calls at the moment; there are many.
   * @returns a function that removes the listener.
   */
  on(listener: LlmCacheListener, wantsCalls = always): () => void {
    // A listener of its own per call, so that adding one twice and removing it once leaves one.
    const own: LlmCacheListener = (event) => listener(event);
    this.listeners.set(own, wantsCalls);
    return () => void this.listeners.delete(own);
  }

  /** Whether anybody would look at the event of a single call. */
  get someoneWantsCalls(): boolean {
    for (const wantsCalls of this.listeners.values()) if (wantsCalls()) return true;
    return false;
  }

  emit(event: LlmCacheEvent): void {
    for (const listener of this.listeners.keys()) {
      try {
        ignoreRejection(listener(event));
      } catch {
        // A broken listener must not break the call it watches.
      }
    }
  }

  /** The same words once; bounded, so that warnings about generated names cannot grow without end. */
  warnOnce(message: string): void {
    if (this.said.has(message) || this.said.size >= MAX_WARNINGS) return;
    this.said.add(message);
    this.emit({ type: 'warning', message });
  }
}

const MAX_WARNINGS = 1_000;

const always = (): boolean => true;
