import type { ChunkReader } from '../streaming/chunk-reader.js';
import type { Recording } from '../streaming/recording.js';
import type { Call } from './call.js';
import type { FlightReader } from './flight-reader.js';

/** The first chunk of a stream under way, or the stale answer in its place. What fails after that fails for its reader too. */
export class StreamStart {
  /** The call as the flight sees it: it ends when its reader leaves. */
  readonly call: Call;
  private instead: { value: unknown } | undefined;

  constructor(
    { insteadOf, ...call }: Call,
    private readonly reader: FlightReader,
    private readonly recording: Recording,
  ) {
    this.call = { ...call, signal: reader.signal };
    if (insteadOf === undefined) return;
    this.call = {
      ...this.call,
      insteadOf: async (error) => (this.instead = recording.hasChunks ? undefined : await insteadOf(error)),
    };
  }

  /** @param done settles when the call has ended */
  orInstead(done: Promise<unknown>): ChunkReader | Promise<ChunkReader> {
    return this.call.insteadOf === undefined ? this.reader : this.started(done);
  }

  private async started(done: Promise<unknown>): Promise<ChunkReader> {
    await new Promise<void>((resolve) => this.reader.whenReady(resolve));
    if (!this.recording.hasChunks) await done.catch(() => undefined);
    return (this.instead?.value as ChunkReader | undefined) ?? this.reader;
  }
}
