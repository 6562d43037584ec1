import { AsyncLocalStorage } from 'node:async_hooks';
import { setMaxListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { durationMs } from '../../core/duration.js';
import { isThenable } from '../../core/thenable.js';
import type { CacheOutcome, CallOptions } from '../../core/types.js';
import { ambient } from '../../engine/ambient.js';
import type { CallSteps } from '../../engine/call-steps.js';
import { withOwnValues, type Asked } from '../../engine/asking.js';
import { eitherSignal, type Caller } from '../../engine/call.js';
import type { Question } from '../../engine/question.js';
import type { ChatRequest, ChatResponse } from '../chat.js';
import { AskedRequests, type Answer } from './asked-requests.js';
import type { BatchItem, BatchOptions, BatchRequest } from './batch-options.js';
import { Outbox } from './outbox.js';
import { ProgressMeter } from './progress-meter.js';
import { RequestSource, type ReadRequest } from './request-source.js';
import { Sender, type Outgoing } from './sender.js';

/** A chat request as the cache is asked it. */
export type ChatQuestion = Question<ChatRequest>;

/** How one request is asked: what `LlmService.chat` hands to `LlmCache.run`. */
export type Prepare = (request: ChatRequest, options: CallOptions) => [question: ChatQuestion, caller: Caller];

/** A request on its way to its item. */
type Entry = ReadRequest & Asked & Outgoing;

const DEFAULT_CONCURRENCY = 8;
const DEFAULT_WINDOW = 256;
const DEFAULT_RETRY_FOR = '10m';

/**
 * One batch under way: requests are read while there is room, looked up page by page, and answered by the store, by an
 * equal request of the batch, or upstream.
 */
export class BatchRun {
  private readonly controller = new AbortController();
  private readonly source: RequestSource;
  private readonly outbox: Outbox;
  private readonly meter: ProgressMeter;
  private readonly sender: Sender;
  private readonly asked = new AskedRequests();
  /** Keys answered anew for `noCache`: an equal request needs no other answer. */
  private readonly renewed = new Set<string>();
  private readonly callOptions: CallOptions;
  private readonly callerSignal: AbortSignal | undefined;
  private readonly window: number;
  /** What surrounds the call of `LlmService.batch` surrounds its requests, whoever reads the items. */
  private readonly inside = AsyncLocalStorage.snapshot();
  private yielded = 0;
  private onRoom: (() => void) | undefined;

  constructor(
    private readonly steps: CallSteps,
    private readonly prepare: Prepare,
    /** Whose requests they are. */
    private readonly name: string,
    requests: Iterable<BatchRequest> | AsyncIterable<BatchRequest>,
    {
      concurrency = DEFAULT_CONCURRENCY,
      ordered = true,
      window = Math.max(DEFAULT_WINDOW, 4 * concurrency),
      requestsPerMinute,
      tokensPerMinute,
      retryFor = DEFAULT_RETRY_FOR,
      onProgress,
      signal,
      ...callOptions
    }: BatchOptions,
  ) {
    const { clock, answer } = steps;
    this.source = new RequestSource(requests);
    this.outbox = new Outbox(ordered);
    this.meter = new ProgressMeter(clock, sizeOf(requests), onProgress);
    const limits = { concurrency, requestsPerMinute, tokensPerMinute, retryForMs: durationMs(retryFor)! };
    this.sender = new Sender(clock, answer, this.controller.signal, limits);
    this.window = window;
    this.callerSignal = eitherSignal(ambient().frame?.signal, signal);
    this.callOptions = callOptions;
  }

  /**
   * The items. Leaving them ends the batch: what is under way is cancelled, what has been answered is stored. That takes
   * effect at once: a generator's own `return` would wait for the item that is awaited.
   */
  items(): AsyncGenerator<BatchItem, void, undefined> {
    const items = this.generate();
    const [end, fail] = [items.return.bind(items), items.throw.bind(items)];
    items.return = (value) => (this.leave(), end(value));
    items.throw = (error) => (this.leave(), fail(error));
    return items;
  }

  private async *generate(): AsyncGenerator<BatchItem, void, undefined> {
    const onAbort = (): void => {
      this.outbox.fail(this.callerSignal!.reason);
      this.stop(this.callerSignal!.reason);
    };
    if (this.callerSignal?.aborted) onAbort();
    if (this.callerSignal !== undefined) setMaxListeners(0, this.callerSignal); // many batches may end with one signal
    this.callerSignal?.addEventListener('abort', onAbort, { once: true });
    void this.inside(() => this.readAll());
    try {
      for (;;) {
        const items = await this.outbox.take(this.yielded);
        if (items.length === 0) return;
        for (const item of items) {
          this.yielded++;
          this.onRoom?.();
          yield item;
          this.controller.signal.throwIfAborted();
        }
      }
    } finally {
      this.callerSignal?.removeEventListener('abort', onAbort);
      this.leave();
    }
  }

  private leave(): void {
    this.outbox.end(0);
    this.stop(new DOMException('Nobody reads the batch any more.', 'AbortError'));
  }

  private stop(reason: unknown): void {
    this.controller.abort(reason);
    this.source.close();
    this.onRoom?.();
  }

  /** Never rejects: what the source throws is told after the items before it. */
  private async readAll(): Promise<void> {
    let failed: { error: unknown } | undefined;
    try {
      while (await this.source.read(await this.room(), (page) => this.start(page))) {
        await nextTurn(); // others want a turn too, and hits alone would leave them none
      }
    } catch (error) {
      failed = { error };
    }
    if (this.controller.signal.aborted) return;
    this.meter.end(this.source.count);
    this.outbox.end(this.source.count, failed);
  }

  /** How many requests may be read: by half a window at a time, so that each look-up is worth its while. */
  private async room(): Promise<number> {
    for (;;) {
      const held = this.source.count - this.yielded;
      if (held * 2 <= this.window || this.controller.signal.aborted) return this.window - held;
      await new Promise<void>((resolve) => (this.onRoom = resolve));
    }
  }

  private start(page: readonly ReadRequest[]): void {
    if (this.controller.signal.aborted) return;
    const entries: Array<Entry | undefined | PromiseLike<Entry | undefined>> = page.map((read) => this.ask(read));
    if (entries.some(isThenable)) void Promise.all(entries.map(async (entry) => entry)).then((late) => this.answerAll(late));
    else this.answerAll(entries as Array<Entry | undefined>);
  }

  /** What the request is to the cache; `undefined` for one that must not be sent, whose item says why. */
  private ask(read: ReadRequest): Entry | undefined | Promise<Entry | undefined> {
    const entry = { ...read, outcome: undefined } as Partial<Entry> & ReadRequest;
    const onOutcome = (outcome: CacheOutcome): void => {
      entry.outcome = outcome;
      this.callOptions.onOutcome?.(outcome);
    };
    const { signal: own } = read.request;
    const signal = eitherSignal(this.controller.signal, own instanceof AbortSignal ? own : undefined);
    const refuse = (error: unknown): undefined => this.put(entry, { error });
    if (read.problem !== undefined) return refuse(read.problem);
    try {
      const asked = this.steps.ask(...this.prepare(read.request, { ...this.callOptions, signal, onOutcome }));
      if (isThenable(asked)) return asked.then((late) => Object.assign(entry, late) as Entry, refuse);
      return Object.assign(entry, asked) as Entry;
    } catch (error) {
      return refuse(error);
    }
  }

  private answerAll(asked: ReadonlyArray<Entry | undefined>): void {
    const entries = asked.filter((entry) => entry !== undefined);
    this.steps.prefetch(entries.map(({ call }) => call).filter((call) => this.mayBeStored(call)));
    for (const entry of entries) this.steps.tracked(this.answer(entry)).catch((error: unknown) => this.put(entry, { error }));
  }

  /** One item: from the store, or by sharing what an equal request got, or upstream. */
  private async answer(entry: Entry): Promise<void> {
    const { call, request } = entry;
    const found = this.mayBeStored(call) ? await this.steps.lookUp(call) : undefined;
    if (found !== undefined) return this.put(entry, { response: found.value as ChatResponse });
    const send = (): Promise<Answer> => this.sender.send(entry);
    // One with a signal of its own may end by it, which is nobody else's answer.
    if (call.key === undefined || request['signal'] !== undefined) return this.put(entry, await send());
    const { answer, isRepeat } = await this.asked.askOnce(call.key, () => this.steps.watch(call), send);
    if (isRepeat) this.steps.share(call, answer);
    else if (call.control.noCache && entry.outcome?.stored) this.renewed.add(call.key);
    this.put(entry, answer);
  }

  private mayBeStored({ key, control }: Entry['call']): boolean {
    return key !== undefined && (!control.noCache || this.renewed.has(key));
  }

  private put(entry: Partial<Entry> & ReadRequest, answer: { response: ChatResponse } | { error: unknown }): undefined {
    if (this.controller.signal.aborted) return;
    const { index, id, outcome = { status: 'bypass', name: this.name, stored: false, reason: 'not a request' } } = entry;
    const item: BatchItem = { index, outcome };
    if (id !== undefined) item.id = id;
    if ('error' in answer) item.error = answer.error as Error;
    else item.response = withOwnValues(entry as Entry, answer.response) as ChatResponse;
    this.meter.count(item);
    this.outbox.put(item);
  }
}

/** How many requests there are, where it can be told without reading them. */
function sizeOf(requests: unknown): number | undefined {
  const { length, size } = requests as { length?: unknown; size?: unknown };
  return [length, size].find((count) => typeof count === 'number');
}
