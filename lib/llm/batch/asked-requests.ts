import type { EarlierAnswer } from '../../engine/call-steps.js';
import { decodeValue, encodeValue } from '../../stores/value-codec.js';
import type { ChatResponse } from '../chat.js';
import { isLasting } from './rate-limit-error.js';

/** What came of a request that was sent. */
export type Answer = Answered | { error: unknown };

type Answered = EarlierAnswer & {
  response: ChatResponse;
  /** A stale answer is no answer to an equal request: that gets its own, or a fresh one by then. */
  isStale: boolean;
};

export type IsCurrent = () => Promise<boolean>;

/** What is kept for equal requests: the response as text, from which each gets its own. */
type Kept = (EarlierAnswer & { text: string }) | { error: unknown };

/** Answers are remembered for equal requests further on, should the store not have them then: up to this much. */
const MAX_REMEMBERED_BYTES = 16 * 1024 * 1024;
const MAX_REMEMBERED = 1_000;
/** An error with its stack, headers and cause, roughly. */
const ERROR_BYTES = 8_192;

interface Asked {
  readonly kept: Promise<Kept | undefined>;
  /** Whether nothing was invalidated since. */
  readonly isCurrent: IsCurrent;
  /** Equal requests wait for it. */
  isAwaited: boolean;
}

/**
 * The requests of a batch that were sent, so that an equal one shares the answer where no store has it: those under way,
 * those answered with what is not stored, such as a truncated answer, and those of a store that is down by now. A failure
 * that another try might cure is forgotten.
 */
export class AskedRequests {
  private readonly asked = new Map<string, Asked>();
  /** Bytes of those that have ended, the oldest first. */
  private readonly remembered = new Map<string, number>();
  private bytes = 0;

  /**
   * Asks, unless an equal request has been sent, and nothing was invalidated since.
   * @param watch starts to look out for an invalidation
   */
  async askOnce(key: string, watch: () => IsCurrent, ask: () => Promise<Answer>): Promise<{ answer: Answer; isRepeat: boolean }> {
    for (;;) {
      const earlier = this.asked.get(key);
      if (earlier === undefined) return { answer: await this.start(key, watch(), ask), isRepeat: false };
      earlier.isAwaited = true;
      // Before its answer and after it: who asks after an invalidation does not wait for what was asked before.
      const kept = (await earlier.isCurrent()) ? await earlier.kept : undefined;
      const isCurrent = await earlier.isCurrent();
      if (isCurrent && kept !== undefined) return { answer: answerFrom(kept), isRepeat: true };
      if (isCurrent) return { answer: await ask(), isRepeat: false };
      if (this.asked.get(key) === earlier) this.forget(key);
    }
  }

  private start(key: string, isCurrent: IsCurrent, ask: () => Promise<Answer>): Promise<Answer> {
    const answer = ask();
    const asked: Asked = { kept: answer.then((ended) => this.end(key, asked, ended)), isCurrent, isAwaited: false };
    this.asked.set(key, asked);
    return answer;
  }

  private end(key: string, asked: Asked, answer: Answer): Kept | undefined {
    const isLastWord = 'error' in answer ? isLasting(answer.error) : !answer.isStale;
    const kept = isLastWord || asked.isAwaited ? keptFrom(answer) : undefined;
    if (this.asked.get(key) !== asked) return kept; // asked anew meanwhile
    if (isLastWord) this.remember(key, kept !== undefined && 'text' in kept ? kept.text.length : ERROR_BYTES);
    else this.asked.delete(key);
    return kept;
  }

  private remember(key: string, bytes: number): void {
    this.remembered.set(key, bytes);
    this.bytes += bytes;
    for (const oldest of this.remembered.keys()) {
      if (this.bytes <= MAX_REMEMBERED_BYTES && this.remembered.size <= MAX_REMEMBERED) return;
      this.forget(oldest);
    }
  }

  private forget(key: string): void {
    this.asked.delete(key);
    this.bytes -= this.remembered.get(key) ?? 0;
    this.remembered.delete(key);
  }
}

/** `undefined` for what has no copy: an equal request is sent itself. */
function keptFrom(answer: Answer): Kept | undefined {
  if ('error' in answer) return answer;
  const { response, usage, refused, latencyMs, isStale } = answer;
  if (isStale) return undefined;
  try {
    return { text: encodeValue(response, { flatten: false }), usage, refused, latencyMs };
  } catch {
    return undefined;
  }
}

function answerFrom(kept: Kept): Answer {
  if ('error' in kept) return kept;
  const { text, ...earlier } = kept;
  return { ...earlier, response: decodeValue(text) as ChatResponse, isStale: false };
}
