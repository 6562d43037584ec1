import type { EarlierResult } from './result-line.js';

/** Which requests there are, by `custom_id`, and which of them are settled: answered earlier, or handed out to be asked. */
export class Roster {
  private readonly marks = new Map<string, number>();
  private readonly settled = new Set<string>();

  /** @returns false for a `custom_id` that is there already. */
  add(customId: string, mark: number): boolean {
    if (this.marks.has(customId)) return false;
    this.marks.set(customId, mark);
    return true;
  }

  /** Whether this request is there and not settled; from now on it is. */
  settle(customId: string, mark: number): boolean {
    if (this.marks.get(customId) !== mark || this.settled.has(customId)) return false;
    this.settled.add(customId);
    return true;
  }

  markOf(customId: string): number | undefined {
    return this.marks.get(customId);
  }

  /** Requests that are not settled. */
  get open(): number {
    return this.marks.size - this.settled.size;
  }
}

/** Which lines of an earlier output stay. */
export type Keep = (result: EarlierResult) => boolean;

/** Those that answer a request of this input; others were made from another input, or with other flags. */
export function keepWhatIsAsked(roster: Roster): Keep {
  return ({ customId, mark, isAnswer }) => isAnswer && roster.settle(customId, mark);
}

/** All answers: what the input will ask is not known. */
export function keepAnswers(roster: Roster): Keep {
  return ({ customId, mark, isAnswer }) => isAnswer && roster.add(customId, mark) && roster.settle(customId, mark);
}
