import type { Clock } from '../core/clock.js';
import { FOLLOWER_TIMEOUT } from '../policy/single-flight.js';
import { END, type ChunkReader } from '../streaming/chunk-reader.js';
import { pump } from '../streaming/pump.js';
import { Recording } from '../streaming/recording.js';
import type { Call } from './call.js';
import type { Settings } from './engine-options.js';
import { FlightReader } from './flight-reader.js';
import type { CacheFlight, Landing } from './landing.js';
import type { Outcomes } from './outcomes.js';
import { StreamStart } from './stream-start.js';
import type { TurnTaking } from './turns.js';
import type { Produce } from './upstream-calls.js';
import type { Followed, Upstream, Ways } from './upstream.js';

/**
 * What happens to a streamed call when no stored answer will do. A stream is the answer of a flight like any other,
 * only that its callers read while the flight is under way: the flight lands when the stream has ended.
 */
export class Streams implements Ways {
  private readonly recordings = new WeakMap<CacheFlight, Recording>();
  /** What keeps a stream running to its end although nobody reads it. */
  private readonly holds = new Set<AbortController>();

  constructor(
    private readonly settings: Settings,
    private readonly clock: Clock,
    private readonly upstream: Upstream,
    private readonly outcomes: Outcomes,
  ) {}

  /** Joins the stream under way from its first chunk on, or starts one. */
  share(call: Call, produce: Produce): Promise<ChunkReader> {
    return this.upstream.share(call, produce, this) as Promise<ChunkReader>;
  }

  /** Reads a stream beside the cache. */
  alone(call: Call, produce: Produce, reason: string): ChunkReader | Promise<ChunkReader> {
    const recording = new Recording(this.settings.maxEntryBytes, call.chunks!, Infinity);
    const reader = new FlightReader(recording.read(true), call.signal);
    const start = new StreamStart(call, reader, recording);
    const done = this.upstream.alone(start.call, recorded(produce, recording), reason);
    done.then(
      () => recording.end(),
      (error: unknown) => recording.fail(error),
    );
    reader.endingWith(done);
    return start.orInstead(done);
  }

  /** Records a stream to its end although nobody reads it. Who asks meanwhile waits for the whole of it, and for it to be checked. */
  refresh(call: Call, produce: Produce): Promise<Landing> | undefined {
    const recording = new Recording(this.settings.maxEntryBytes, call.chunks!);
    return this.upstream.refresh(call, record(produce, recording), (flight) => {
      recording.countWholeCallers(1);
      this.hold(flight, recording);
    });
  }

  /** Ends the streams that nobody reads. */
  close(): void {
    for (const hold of this.holds) hold.abort(new DOMException('The app was closed.', 'AbortError'));
  }

  lead(call: Call, produce: Produce, { taking }: { taking?: TurnTaking } = {}): ChunkReader | Promise<ChunkReader> {
    const recording = new Recording(this.settings.maxEntryBytes, call.chunks!);
    const reader = new FlightReader(recording.read(true), call.signal);
    const start = new StreamStart(call, reader, recording);
    const done = this.upstream.lead(start.call, recorded(produce, recording), { taking, onStart: (flight) => this.watch(flight, recording) });
    reader.endingWith(done);
    return start.orInstead(done);
  }

  /** As a reader of a stream, or as one more caller of what is no stream. */
  follow(flight: CacheFlight, call: Call): Promise<Followed> {
    const recording = this.recordings.get(flight);
    return recording === undefined ? this.upstream.follow(flight, call) : this.join(flight, recording, call);
  }

  private watch(flight: CacheFlight, recording: Recording): void {
    this.recordings.set(flight, recording);
    this.upstream.wholeCallers.set(flight, (change) => recording.countWholeCallers(change));
    flight.landing.then(
      () => recording.end(),
      (error: unknown) => recording.fail(error),
    );
    recording.onPartial = () => this.upstream.retire(flight);
    if (this.settings.onAbandon === 'finish') this.hold(flight, recording);
  }

  /** Counts as one more caller of the flight, as long as there is something to be stored at its end. */
  private hold(flight: CacheFlight, recording: Recording): void {
    const hold = new AbortController();
    this.holds.add(hold);
    recording.goesOnAlone = true;
    recording.onPartial = () => {
      this.upstream.retire(flight);
      hold.abort(new DOMException('The stream is too large to be stored.', 'AbortError'));
    };
    flight
      .wait(hold.signal)
      .catch(() => undefined)
      .finally(() => this.holds.delete(hold));
  }

  /** Follows a stream, unless its first chunk takes too long, or is none that can be shared. */
  private async join(flight: CacheFlight, recording: Recording, call: Call): Promise<{ value: ChunkReader } | typeof FOLLOWER_TIMEOUT> {
    const reader = new FlightReader(recording.read(), call.signal);
    const start = new StreamStart(call, reader, recording);
    this.upstream.board(flight, start.call);
    let isReading = true;
    const done = this.upstream.waitFor(flight, start.call).then<unknown, unknown>(
      (landing) => this.outcomes.coalesced(call, landing as Landing),
      (error: unknown) => isReading && this.upstream.failed(start.call, 'coalesced', error),
    );
    reader.endingWith(done);
    const inTime = await this.beforeDeadline(reader);
    // Fenced: what comes may answer another question, if the leader's arguments changed meanwhile.
    if (inTime && !flight.fenced && (recording.isWhole || recording.hasEnded)) return { value: await start.orInstead(done) };
    isReading = false;
    reader.leave();
    return FOLLOWER_TIMEOUT;
  }

  private beforeDeadline(reader: ChunkReader): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.clock.after(this.settings.followerTimeoutMs, () => resolve(false));
      reader.whenReady(() => {
        cancel();
        resolve(true);
      });
    });
  }
}

/** Lets a flight end when the stream does; its recording stands for the answer. */
function recorded(produce: Produce, recording: Recording): Produce {
  return async (upstream) => {
    await Promise.resolve(); // an Observable may give all it has while it is subscribed to; its reader has to be aboard by then
    return record(produce, recording)(upstream);
  };
}

function record(produce: Produce, recording: Recording): (...given: Parameters<Produce>) => Promise<Recording> {
  return async (upstream) => {
    const { elsewhere, signal } = upstream;
    await pump(elsewhere === undefined ? produce(upstream) : chunksOf(elsewhere.value as ChunkReader), recording, signal);
    return recording;
  };
}

/** The chunks of an answer that is all there. */
async function* chunksOf(reader: ChunkReader): AsyncGenerator<unknown, void> {
  for (let chunk = reader.take(); chunk !== END; chunk = reader.take()) yield chunk;
}
