import type { LlmCache } from '../engine/llm-cache.js';
import type { BatchLine, BatchOptions } from '../llm/batch/batch-options.js';
import type { LlmService } from '../llm/llm.service.js';
import type { Arguments } from './arguments.js';
import { FileOutput, StreamOutput, type BatchOutput } from './batch-output.js';
import { Complaints } from './complaints.js';
import { keepOnly, NOTHING_EARLIER, readEarlier, type EarlierOutput } from './earlier-output.js';
import { EXIT } from './exit.js';
import { openCache } from './open-cache.js';
import { checkedOutput, mayHoldResults, STANDARD } from './paths.js';
import { numeral } from './progress-line.js';
import { identifierOf, type Identify } from './question.js';
import { codeOf, resultLine } from './result-line.js';
import { keepAnswers, keepWhatIsAsked, Roster } from './roster.js';
import { arrivingRequests, openRequests, survey, type OnAsked } from './sources.js';
import { failureCount, forecastOf, summaryOf } from './summary.js';
import type { Surroundings } from './surroundings.js';
import { Terminal } from './terminal.js';

type BatchArguments = Extract<Arguments, { command: 'batch' }>;

/**
 * Answers the requests of a file.
 * @returns the exit code
 * @throws CommandError for what keeps it from starting, or from going on.
 */
export async function batchCommand(given: BatchArguments, around: Surroundings): Promise<number> {
  const output = checkedOutput(given.input, given.flags);
  const { llm, llmCache } = openCache(given.flags, around.environment);
  const { stdout, stderr } = around;
  const isShared = output === STANDARD && stdout.isTTY; // results appear where a bar would
  const terminal = new Terminal(stderr, { quiet: given.flags.quiet, bar: Boolean(stderr.isTTY) && !isShared, now: () => performance.now() });
  llmCache.on((event) => event.type === 'warning' && terminal.say(event.message));
  try {
    const command = new BatchCommand(given, around, terminal, output, llm, llmCache);
    await command.prepare();
    return await (given.flags['dry-run'] ? command.forecast() : command.ask());
  } finally {
    terminal.end();
    await llmCache.close();
  }
}

class BatchCommand {
  private readonly roster = new Roster();
  private readonly complaints: Complaints;
  private readonly identify: Identify;
  private readonly questions = new Set<number>();
  /** Of requests under way, by `custom_id`. */
  private readonly marks = new Map<string, number>();
  private asked = 0;
  private earlier: EarlierOutput = NOTHING_EARLIER;

  constructor(
    private readonly given: BatchArguments,
    private readonly around: Surroundings,
    private readonly terminal: Terminal,
    private readonly output: string,
    private readonly llm: LlmService,
    private readonly llmCache: LlmCache,
  ) {
    this.complaints = new Complaints(given.input === STANDARD ? 'stdin' : given.input, given.flags.strict, (line) => terminal.say(line));
    this.identify = identifierOf(llm, llmCache);
  }

  /** Learns what there is to ask, and what the output has already. */
  async prepare(): Promise<void> {
    const { given, roster, output } = this;
    const isStream = given.input === STANDARD;
    if (!isStream) await survey(given.input, roster, this.identify, this.complaints, this.around.signal);
    if (mayHoldResults(output)) this.earlier = await readEarlier(output, isStream ? keepAnswers(roster) : keepWhatIsAsked(roster));
  }

  async ask(): Promise<number> {
    const { terminal, around: { signal }, given: { flags } } = this;
    const startedAtMs = performance.now();
    const failures = new Map<string, number>();
    const output = await this.openOutput();
    const options: BatchOptions = {
      signal,
      ordered: flags.ordered,
      concurrency: flags.concurrency,
      requestsPerMinute: flags['requests-per-minute'],
      tokensPerMinute: flags['tokens-per-minute'],
      retryFor: flags['retry-for'],
      onProgress: (progress) => terminal.progress(progress),
    };
    const tally = (): Parameters<typeof summaryOf>[0] => ({ ...this.counts(), failures, elapsedMs: performance.now() - startedAtMs });
    try {
      for await (const item of this.llm.batch(this.requests(), options)) {
        if (item.error !== undefined) failures.set(codeOf(item.error), (failures.get(codeOf(item.error)) ?? 0) + 1);
        await output.write(resultLine(item.id!, this.marks.get(item.id!)!, item));
        this.marks.delete(item.id!);
      }
    } finally {
      terminal.end();
      output.close();
      terminal.note(summaryOf(tally(), this.llmCache.stats()));
    }
    return failureCount(tally()) + this.complaints.count > 0 ? EXIT.incomplete : EXIT.done;
  }

  async forecast(): Promise<number> {
    let [stored, calls] = [0, 0];
    for await (const { outcome } of this.llm.batch(this.requests(), { onlyIfCached: true, ordered: false, signal: this.around.signal })) {
      if (outcome.status === 'hit') stored++;
      else if (outcome.status !== 'coalesced') calls++;
    }
    this.terminal.say(forecastOf({ ...this.counts(), stored, calls }));
    return this.complaints.count > 0 ? EXIT.incomplete : EXIT.done;
  }

  private requests(): AsyncIterable<BatchLine> {
    const { given, roster, identify, around } = this;
    const onAsked: OnAsked = ({ custom_id: id }, { key, mark }) => {
      this.asked++;
      this.questions.add(key);
      this.marks.set(id, mark);
    };
    if (given.input === STANDARD) return arrivingRequests(around.stdin, roster, identify, this.complaints, onAsked);
    return openRequests(given.input, roster, identify, onAsked, around.signal);
  }

  private async openOutput(): Promise<BatchOutput> {
    const { earlier, output } = this;
    if (output === STANDARD) return new StreamOutput(this.around.stdout);
    if (earlier.size > 0) await keepOnly(output, earlier);
    if (earlier.kept > 0) this.terminal.note(`${output} has ${numeral(earlier.kept)} answers already; going on with the rest.`);
    if (earlier.dropped > 0) this.terminal.note(`${output} had ${numeral(earlier.dropped)} lines that failed or answer other requests; they are removed.`);
    return new FileOutput(output);
  }

  private counts(): { asked: number; unique: number; kept: number; skipped: number } {
    return { asked: this.asked, unique: this.questions.size, kept: this.earlier.kept, skipped: this.complaints.count };
  }
}
