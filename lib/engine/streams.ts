import type { Clock } from '../core/clock.js';
import { FOLLOWER_TIMEOUT } from '../policy/single-flight.js';
import type { ChunkReader } from '../streaming/chunk-reader.js';
import { pump } from '../streaming/pump.js';
import { Recording } from '../streaming/recording.js';
import type { Call } from './call.js';
import type { Settings } from './engine-options.js';
import { FlightReader } from './flight-reader.js';
import type { CacheFlight, Landing } from './landing.js';
import type { Outcomes } from './outcomes.js';
import { wouldWaitForItself, type Produce, type Upstream } from './upstream.js';

/**
 * What happens to a streamed call when no stored answer will do. A stream is the answer of a flight like any other,
 * only that its callers read while the flight is under way: the flight lands when the stream has ended.
 */
export class Streams {
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
  async share(call: Call, produce: Produce): Promise<ChunkReader> {
    let leftBehind: CacheFlight | undefined;
    for (;;) {
      const running = this.upstream.joinable(call);
      if (running === undefined || running === leftBehind) return this.lead(call, produce);
      if (wouldWaitForItself(call, running)) return this.alone(call, produce, 'reentrant');
      const recording = this.recordings.get(running);
      const joined = recording === undefined ? await this.follow(running, call) : await this.join(running, recording, call);
      if (joined === 'uncopied') return this.alone(call, produce, 'unstorable');
      if (joined !== undefined) return joined;
      leftBehind = running;
    }
  }

  /** Reads a stream beside the cache. */
  alone(call: Call, produce: Produce, reason: string): ChunkReader {
    const recording = new Recording(this.settings.maxEntryBytes, call.chunks!, Infinity);
    const reader = new FlightReader(recording.read(true), call.signal);
    const own = { ...call, signal: reader.signal };
    const done = this.upstream.alone(own, recorded(produce, recording), reason);
    done.then(
      () => recording.end(),
      (error: unknown) => recording.fail(error),
    );
    return reader.endingWith(done);
  }

  /** Ends the streams that nobody reads. */
  close(): void {
    for (const hold of this.holds) hold.abort(new DOMException('The app was closed.', 'AbortError'));
  }

  private lead(call: Call, produce: Produce): ChunkReader {
    const recording = new Recording(this.settings.maxEntryBytes, call.chunks!);
    const reader = new FlightReader(recording.read(true), call.signal);
    const own = { ...call, signal: reader.signal };
    return reader.endingWith(
      this.upstream.lead(own, recorded(produce, recording), true, (flight) => this.watch(flight, recording)),
    );
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

  /** Follows a stream; `undefined` when its first chunk takes too long, or is none that can be shared. */
  private async join(flight: CacheFlight, recording: Recording, call: Call): Promise<ChunkReader | undefined> {
    const reader = new FlightReader(recording.read(), call.signal);
    const own = { ...call, signal: reader.signal };
    this.upstream.board(flight, own);
    let isReading = true;
    const done = this.upstream.waitFor(flight, own).then(
      (landing) => this.outcomes.coalesced(call, landing as Landing),
      (error: unknown) => isReading && this.outcomes.failed(own, 'coalesced', error),
    );
    reader.endingWith(done);
    const inTime = await this.beforeDeadline(reader);
    // Fenced: what comes may answer another question, if the leader's arguments changed meanwhile.
    if (inTime && !flight.fenced && (recording.isWhole || recording.hasEnded)) return reader;
    isReading = false;
    reader.leave();
    return undefined;
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

  /** Waits for a whole answer under way, to read it chunk by chunk. */
  private async follow(flight: CacheFlight, call: Call): Promise<ChunkReader | 'uncopied' | undefined> {
    const landing = await this.upstream.follow(flight, call);
    if (landing === FOLLOWER_TIMEOUT) return undefined;
    const copy = this.upstream.copyOf(call, landing);
    return copy === undefined ? 'uncopied' : (copy.value as ChunkReader);
  }

}

/** Lets a flight end when the stream does; its recording stands for the answer. */
function recorded(produce: Produce, recording: Recording): Produce {
  return async (upstream) => {
    await Promise.resolve(); // an Observable may give all it has while it is subscribed to; its reader has to be aboard by then
    await pump(produce(upstream), recording, upstream.signal);
    return recording;
  };
}
