import { FIRST_CHUNK_AT, type ChunkCodec } from './chunk-codec.js';
import { END, type ChunkReader } from './chunk-reader.js';

/** Reads what is all there already. */
abstract class Complete implements ChunkReader {
  abstract take(): unknown;

  whenReady(callback: () => void): void {
    callback();
  }

  leave(): void {
    // Nothing is held.
  }
}

/** A stored stream. Each chunk is decoded when it is asked for, so that the first does not wait for the last. */
export class Replay extends Complete {
  private start = FIRST_CHUNK_AT;

  constructor(
    private readonly payload: string,
    private readonly codec: ChunkCodec,
  ) {
    super();
  }

  take(): unknown {
    const { payload, start } = this;
    if (start >= payload.length) return END;
    const lineEnd = payload.indexOf('\n', start);
    const end = lineEnd < 0 ? payload.length : lineEnd;
    this.start = end + 1;
    return this.codec.decode(payload.slice(start, end));
  }
}

/** Chunks at hand, which nobody else holds. */
export class ChunkList extends Complete {
  private next = 0;

  constructor(private readonly chunks: readonly unknown[]) {
    super();
  }

  take(): unknown {
    return this.next < this.chunks.length ? this.chunks[this.next++] : END;
  }
}
