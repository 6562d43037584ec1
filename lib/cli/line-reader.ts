const NEWLINE = 0x0a;

/** A line of a file, without its end. */
export interface Line {
  /** From 1. */
  readonly number: number;
  /** Where it starts, and where the next one would: bytes from the start of the file. */
  readonly start: number;
  readonly end: number;
  /** `undefined` for a line beyond the limit; it was not held in memory either. */
  readonly bytes: Buffer | undefined;
  /** Whether a newline followed it. */
  readonly isWhole: boolean;
}

/** Splits bytes into lines, holding one line at a time and none beyond `maxBytes`. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, maxBytes: number): AsyncGenerator<Line, void, undefined> {
  let parts: Uint8Array[] = [];
  let [number, start, length] = [1, 0, 0];
  const take = (part: Uint8Array): void => {
    length += part.length;
    if (length > maxBytes) parts = [];
    else if (part.length > 0) parts.push(part);
  };
  const line = (isWhole: boolean): Line => {
    const end = start + length + (isWhole ? 1 : 0);
    const made: Line = { number, start, end, bytes: length > maxBytes ? undefined : Buffer.concat(parts), isWhole };
    [parts, number, start, length] = [[], number + 1, end, 0];
    return made;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      take(chunk.subarray(from, at));
      yield line(true);
      from = at + 1;
    }
    take(chunk.subarray(from));
  }
  if (length > 0) yield line(false);
}
