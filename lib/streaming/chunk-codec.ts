import { decodeValue, encodeValue } from '../stores/value-codec.js';

/** Turns chunks into text and back. */
export interface ChunkCodec {
  /** @throws Refusal for a chunk that would not come back as it was. */
  encode(chunk: unknown): string;
  /** A chunk that nobody else holds. */
  decode(text: string): unknown;
}

/** @param revive makes the class instance out of plain data, where chunks are instances */
export function chunkCodec(revive?: (plain: unknown) => unknown): ChunkCodec {
  if (revive === undefined) return { encode: (chunk) => encodeValue(chunk, { flatten: false }), decode: decodeValue };
  return { encode: (chunk) => encodeValue(chunk, { flatten: true }), decode: (text) => revive(decodeValue(text)) };
}

/** What the payload of a stream starts with; that of a whole answer starts with another letter. */
const STREAM = 's';

/** The chunks of a stream as one text: a letter, then a line each. JSON holds no line break. */
export function joinChunks(texts: readonly string[]): string {
  return STREAM + texts.join('\n');
}

/** Whether a payload holds the chunks of a stream. */
export function isStreamPayload(payload: string): boolean {
  return payload.startsWith(STREAM);
}

/** Where the first chunk of a payload starts. */
export const FIRST_CHUNK_AT = STREAM.length;

/** Every chunk of a payload. */
export function chunksIn(payload: string, codec: ChunkCodec): unknown[] {
  return payload.length > FIRST_CHUNK_AT ? payload.slice(FIRST_CHUNK_AT).split('\n').map((line) => codec.decode(line)) : [];
}
