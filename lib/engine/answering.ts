import type { Clock } from '../core/clock.js';
import { LlmCacheMissError } from '../core/errors.js';
import type { ChunkReader } from '../streaming/chunk-reader.js';
import { readWithOwnValues, withOwnValues, type Asked } from './asking.js';
import { untilLeft, type Call } from './call.js';
import { isFresh, type EntryReader, type Found } from './entry-reader.js';
import type { Outcomes } from './outcomes.js';
import type { StaleAnswers } from './stale-answers.js';
import type { Streams } from './streams.js';
import { untilAborted } from './until-aborted.js';
import type { Produce } from './upstream-calls.js';
import type { Upstream } from './upstream.js';

/** From a question that was asked to its answer: look it up, then serve, serve stale, or call upstream. */
export class Answering {
  constructor(
    private readonly clock: Clock,
    private readonly reader: EntryReader,
    private readonly outcomes: Outcomes,
    private readonly stale: StaleAnswers,
    private readonly upstream: Upstream,
    private readonly streams: Streams,
    private readonly track: (work: Promise<unknown>) => Promise<unknown>,
  ) {}

  /** With its caller's own values. */
  readonly answer = (asked: Asked): unknown => withOwnValues(asked, this.start(asked.call, asked.produce));

  /** {@link answer} for a caller who reads it chunk by chunk, and starts it thereby. */
  read(asked: Asked, left: () => AbortSignal): ChunkReader | Promise<ChunkReader> {
    const reader = this.start({ ...asked.call, startedAtMs: this.clock.monotonic(), left }, asked.produce);
    return readWithOwnValues(asked, reader as ChunkReader | Promise<ChunkReader>);
  }

  /** {@link answer} for a method that may not return a promise at all: it is run at once to see. */
  probe(asked: Asked): ReturnType<Upstream['probe']> {
    const { call, produce } = asked;
    if (call.signal?.aborted) return { answer: this.outcomes.aborted(call) };
    // A method whose arguments were changed is not run to see: what it returns would have to be changed back.
    return call.privacy?.guardsTheModel ? { answer: Promise.resolve(this.answer(asked)) } : this.upstream.probe(call, produce);
  }

  /** The life of a call, with nothing put back. A streamed one comes to a reader of its chunks. */
  readonly start = (call: Call, produce: Produce): unknown => {
    if (call.signal?.aborted) return this.outcomes.aborted(call);
    if (call.key === undefined) return this.waysOf(call).alone(call, produce, call.bypassReason!);
    const found = call.control.noCache ? undefined : this.reader.find(call);
    if (!(found instanceof Promise)) return this.serve(call, found, produce);
    const waiting = untilLeft(call);
    return this.track(untilAborted(waiting.signal, found).then((late) => this.serve(waiting, late, produce)));
  };

  private serve(call: Call, found: Found | undefined, produce: Produce): unknown {
    if (call.signal?.aborted) return this.outcomes.aborted(call); // while a store was read
    if (found !== undefined) {
      const served = isFresh(found) ? this.outcomes.hit(call, found) : this.stale.serve(call, found, produce);
      if (served !== undefined) return served.value;
    }
    if (call.control.onlyIfCached) return this.outcomes.refuseMiss(call, new LlmCacheMissError(call.name));
    const asking = this.stale.withFallback(untilLeft(call), found);
    return this.track(this.waysOf(call).share(asking, produce));
  }

  private waysOf(call: Call): Streams | Upstream {
    return call.chunks ? this.streams : this.upstream;
  }
}
