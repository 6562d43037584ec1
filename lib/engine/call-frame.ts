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
  'empty', 'error', 'refusal', 'content-filter', 'truncated', 'unfinished', 'not-cacheable', 'invalidated',
]);

/**
 * A call whose answer is being computed. Calls made inside it see its model configuration and signal, and report what
 * they got; so an answer made from a truncated one is not stored, one made from an old one is no younger, and one made
 * from a tagged one goes when that tag is invalidated.
 */
export class CallFrame {
  private readonly reports: InnerReport[] = [];

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
  ) {}

  /** Set when the call has ended: what it left running, such as a timer, is no part of it any more. */
  ended = false;

  /** Whether the call with this key is one of those under way here. */
  isInside(key: string): boolean {
    return this.key === key || (this.parent?.isInside(key) ?? false);
  }

  report(inner: InnerReport): void {
    if (!this.ended) this.reports.push(inner);
  }

  /** Whether the tokens and the time of this call are in the books already, by the calls inside it. */
  get isAccountedFor(): boolean {
    return this.reports.length > 0;
  }

  get refused(): RefusalReason | undefined {
    return this.reports.find(({ refused }) => refused !== undefined && INHERITED.has(refused))?.refused;
  }

  /** Stored answers that were used here. */
  get storedKeys(): string[] {
    return this.reports.flatMap(({ storedKey }) => storedKey ?? []);
  }

  get oldestMs(): number {
    return Math.max(0, ...this.reports.map(({ ageMs }) => ageMs));
  }

  get versions(): Versions {
    return this.reports.flatMap(({ versions }) => versions);
  }

  private get usage(): LlmUsage | undefined {
    const usages = this.reports.flatMap(({ usage }) => usage ?? []);
    if (usages.length === 0) return undefined;
    const sum = (field: keyof LlmUsage): number => usages.reduce((total, usage) => total + usage[field], 0);
    return { inputTokens: sum('inputTokens'), outputTokens: sum('outputTokens'), totalTokens: sum('totalTokens') };
  }

  /** What the answers inside tell of one made from them: their tokens together, model and finish reason of the last. */
  get known(): { usage?: LlmUsage | undefined; model?: string | undefined; finishReason?: string | undefined } {
    const last = this.reports.at(-1);
    return { usage: this.usage, model: last?.model, finishReason: last?.finishReason };
  }
}
