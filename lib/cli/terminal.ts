import cliProgress from 'cli-progress';
import type { WriteStream } from 'node:tty';
import type { BatchProgress } from '../llm/batch/batch-options.js';
import { progressLine } from './progress-line.js';

const PLAIN_EVERY_MS = 5_000;
const BAR_WIDTH = 24;

export interface TerminalOptions {
  /** Only what went wrong is said. */
  readonly quiet: boolean;
  /** Draw a bar: somebody looks at a terminal, and nothing else is written there. */
  readonly bar: boolean;
  /** Milliseconds that never run backwards. */
  readonly now: () => number;
}

/** What is said beside the results, on the standard error: messages, and how far it is, as a bar or as a line now and then. */
export class Terminal {
  private bar: cliProgress.SingleBar | undefined;
  private last: BatchProgress | undefined;
  private saidAtMs: number;

  constructor(
    private readonly stream: Pick<WriteStream, 'write'>,
    private readonly options: TerminalOptions,
  ) {
    this.saidAtMs = options.now();
  }

  /** For what went wrong. */
  say(text: string): void {
    const wasDrawn = this.bar !== undefined;
    this.endBar();
    this.stream.write(`${text}\n`);
    if (wasDrawn) this.draw();
  }

  /** For what is good to know. */
  note(text: string): void {
    if (!this.options.quiet) this.say(text);
  }

  progress(progress: BatchProgress): void {
    this.last = progress;
    if (this.options.quiet) return;
    if (this.options.bar) this.draw();
    else if (this.options.now() - this.saidAtMs >= PLAIN_EVERY_MS) {
      this.saidAtMs = this.options.now();
      this.stream.write(`${progressLine(progress)}\n`);
    }
  }

  /** No more progress: the bar stays as it was last, a line of its own. */
  end(): void {
    if (this.last !== undefined) this.bar?.update(this.last.done);
    this.endBar(true);
  }

  private draw(): void {
    const { done, total } = this.last!;
    if (this.bar === undefined) {
      this.bar = new cliProgress.SingleBar({
        stream: this.stream as WriteStream,
        format: (options, { progress }) => this.drawn(options, progress),
        barsize: BAR_WIDTH,
        fps: 8,
        clearOnComplete: true,
        gracefulExit: false, // signals are ours
      }, cliProgress.Presets.shades_classic);
      this.bar.start(total ?? 0, done);
    } else {
      this.bar.setTotal(total ?? 0);
      this.bar.update(done);
    }
  }

  private drawn(options: cliProgress.Options, share: number): string {
    const line = progressLine(this.last!);
    return this.last!.total === undefined ? line : `${cliProgress.Format.BarFormat(share, options)} ${line}`;
  }

  /** @param stays leave the last line on the terminal */
  private endBar(stays = false): void {
    if (this.bar === undefined) return;
    this.bar.stop();
    this.bar = undefined;
    if (stays) this.stream.write(`${progressLine(this.last!)}\n`);
  }
}
