import type { KeyParts, LlmUsage, ModelConfig } from '../core/types.js';
import type { RefusalReason } from '../policy/gate.js';
import type { Versions } from '../stores/group-versions.js';
import type { WaitNode } from '../policy/wait-graph.js';

/** What a call made inside another tells it when it ends. */
export interface InnerReport {
  usage?: LlmUsage | undefined;
  model?: string | undefined;
  finishReason?: string | undefined;
  /** Why the inner answer was kept out of the cache. */
  refused?: RefusalReason | undefined;
  /** The key it was stored under before this call. */
  storedKey?: string | undefined;
  /** How old the inner answer was. */
  ageMs: number;
  versions: Versions;
}

/** Refusals that say something about the answer itself, and so about whatever was made from it. */
const INHERITED: ReadonlySet<RefusalReason> = new Set([
  'empty', 'error', 'refusal', 'content-filter', 'truncated', 'unfinished', 'not-cacheable', 'invalidated', 'pii', 'pii-error',
]);

/**
 * A call whose answer is being computed. Calls made inside it see its model configuration and signal, and report what
 * they got; so an answer made from a truncated one is not stored, one made from an old one is no younger, and one made
 * from a tagged one goes when that tag is invalidated.
 */
export class CallFrame {
  /** Whether the tokens and the time of this call are in the books already, by the calls inside it. */
  isAccountedFor = false;
  /** Why this answer has to be kept out too. */
  refused: RefusalReason | undefined;
  /** Stored answers that were used here. */
  readonly storedKeys = new Set<string>();
  oldestMs = 0;
  private readonly versionsSeen = new Map<string, readonly [group: string, version: string]>();
  /** What the answers inside tell of one made from them: their tokens together, model and finish reason of the last. */
  known: { usage?: LlmUsage | undefined; model?: string | undefined; finishReason?: string | undefined } = {};

  constructor(
    readonly key: string | undefined,
    readonly model: ModelConfig,
    /** Its tenant: calls made inside are that tenant's, unless they name another. */
    readonly scope: KeyParts['scope'],
    readonly signal: AbortSignal,
    /** Groups that answers computed inside belong to as well. */
    readonly groups: readonly string[],
    /** The flight that waits for this call to end. */
    readonly flight: WaitNode | undefined,
    readonly parent: CallFrame | undefined,
  ) {
    this.isRefresh = parent?.isRefresh ?? false;
  }

  /** Whether a stale answer is renewed here, by fresh ones. */
  isRefresh: boolean;

  /** Placeholders in the question, where it was pseudonymised, and in those of the calls around. */
  placeholders: ReadonlySet<string> | undefined;

  /** Set when the call has ended: what it left running, such as a timer, is no part of it any more. */
  ended = false;

  /** What work that goes on without this call keeps of it; nobody is told, and nothing is waited for. */
  detached(): CallFrame {
    const frame = new CallFrame(undefined, this.model, this.scope, new AbortController().signal, this.groups, undefined, undefined);
    frame.placeholders = this.placeholders;
    return frame;
  }

  /** Whether the call with this key is one of those under way here. */
  isInside(key: string): boolean {
    return this.key === key || (this.parent?.isInside(key) ?? false);
  }

  /** Keeps what matters of it and no more: a frame may have a hundred thousand calls inside. */
  report({ usage, model, finishReason, refused, storedKey, ageMs, versions }: InnerReport): void {
    if (this.ended) return;
    this.isAccountedFor = true;
    if (refused !== undefined && INHERITED.has(refused)) this.refused ??= refused;
    if (storedKey !== undefined) this.storedKeys.add(storedKey);
    this.oldestMs = Math.max(this.oldestMs, ageMs);
    for (const version of versions) this.versionsSeen.set(version.join(' '), version);
    this.known = { usage: sum(this.known.usage, usage), model, finishReason };
  }

  get versions(): Versions {
    return [...this.versionsSeen.values()];
  }
}

function sum(all: LlmUsage | undefined, one: LlmUsage | undefined): LlmUsage | undefined {
  if (all === undefined || one === undefined) return all ?? one;
  return {
    inputTokens: all.inputTokens + one.inputTokens,
    outputTokens: all.outputTokens + one.outputTokens,
    totalTokens: all.totalTokens + one.totalTokens,
  };
}
