import type { EarlierAnswer } from '../../engine/call-steps.js';
import type { ChatResponse } from '../chat.js';
import { isLasting } from './rate-limit-error.js';

/** What came of a request that was sent. */
export type Answer = Answered | { error: unknown };

type Answered = EarlierAnswer & { response: ChatResponse; stored: boolean };

/** What is kept for equal requests: the response as text, from which each gets its own. */
type Kept = (EarlierAnswer & { text: string }) | { error: unknown };

/** Answers that no store has are remembered for equal requests further on, up to this much. */
const MAX_REMEMBERED_BYTES = 16 * 1024 * 1024;
const MAX_REMEMBERED = 10_000;

interface Asked {
  readonly kept: Promise<Kept | undefined>;
  /** Equal requests wait for it. */
  isAwaited: boolean;
}

/**
 * The requests of a batch that were sent, so that an equal one shares the answer: those under way, and those answered
 * with what no store has, such as a truncated answer. A failure that another try might cure is forgotten.
 */
export class AskedRequests {
  private readonly asked = new Map<string, Asked>();
  /** Bytes of those that have ended, the oldest first. */
  private readonly remembered = new Map<string, number>();
  private bytes = 0;

  /** Asks, unless an equal request has been sent. */
  async askOnce(key: string | undefined, ask: () => Promise<Answer>): Promise<{ answer: Answer; isRepeat: boolean }> {
    const earlier = key === undefined ? undefined : this.asked.get(key);
    if (earlier === undefined) return { answer: await this.start(key, ask), isRepeat: false };
    earlier.isAwaited = true;
    const kept = await earlier.kept;
    return kept === undefined ? { answer: await ask(), isRepeat: false } : { answer: answerFrom(kept), isRepeat: true };
  }

  private start(key: string | undefined, ask: () => Promise<Answer>): Promise<Answer> {
    const answer = ask();
    if (key === undefined) return answer;
    const asked: Asked = { kept: answer.then((ended) => this.end(key, asked, ended)), isAwaited: false };
    this.asked.set(key, asked);
    return answer;
  }

  private end(key: string, asked: Asked, answer: Answer): Kept | undefined {
    const isLastWord = 'error' in answer ? isLasting(answer.error) : !answer.stored;
    if (!isLastWord) this.asked.delete(key);
    const kept = isLastWord || asked.isAwaited ? keptFrom(answer) : undefined;
    if (isLastWord) this.remember(key, kept !== undefined && 'text' in kept ? kept.text.length : 0);
    return kept;
  }

  private remember(key: string, bytes: number): void {
    this.remembered.set(key, bytes);
    this.bytes += bytes;
    for (const [oldest, itsBytes] of this.remembered) {
      if (this.bytes <= MAX_REMEMBERED_BYTES && this.remembered.size <= MAX_REMEMBERED) return;
      this.remembered.delete(oldest);
      this.asked.delete(oldest);
      this.bytes -= itsBytes;
    }
  }
}

/** `undefined` for what has no copy: an equal request is sent itself. */
function keptFrom(answer: Answer): Kept | undefined {
  if ('error' in answer) return answer;
  const { response, usage, refused, latencyMs } = answer;
  try {
    return { text: JSON.stringify(response), usage, refused, latencyMs };
  } catch {
    return undefined;
  }
}

function answerFrom(kept: Kept): Answer {
  if ('error' in kept) return kept;
  const { text, ...earlier } = kept;
  return { ...earlier, response: JSON.parse(text) as ChatResponse, stored: false };
}
