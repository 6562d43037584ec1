import { CommandError } from './exit.js';

/** A file of the wrong kind has as many problems as lines. */
const MOST_SHOWN = 20;

/** Tells of lines that are skipped, each with its number; the first one is the last with `strict`. */
export class Complaints {
  count = 0;

  constructor(
    private readonly file: string,
    private readonly strict: boolean,
    private readonly say: (line: string) => void,
  ) {}

  /** @throws CommandError with `strict`. */
  add(number: number, problem: string): void {
    const complaint = `${this.file}:${number}: ${problem}`;
    if (this.strict) throw new CommandError(`${complaint}. Stopped, for --strict.`);
    this.count++;
    if (this.count <= MOST_SHOWN) this.say(`${complaint}; skipped`);
    else if (this.count === MOST_SHOWN + 1) this.say(`${this.file}: more lines like these are skipped in silence`);
  }
}
