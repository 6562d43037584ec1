import { assembleChunks } from '../policy/streamed-answer.js';
import { chunksOfCompletion } from '../policy/openai-chat-stream.js';
import { chunkCodec, chunksIn, isStreamPayload } from '../streaming/chunk-codec.js';
import { ChunkList, Replay } from '../streaming/replay.js';
import { decodeValue } from '../stores/value-codec.js';
import { STREAM_SHAPES } from './admission.js';
import type { Call } from './call.js';

const plainCodec = chunkCodec();

/** A whole answer as the gate sees it, however it was written down. */
export function wholeAnswer(payload: string): unknown {
  return isStreamPayload(payload) ? assembleChunks(chunksIn(payload, plainCodec), STREAM_SHAPES) : decodeValue(payload);
}

/**
 * What a caller is handed of an answer that was written down: a copy of its own, or a reader of its chunks. An answer
 * written the other way is converted.
 * @throws whatever `revive` throws
 */
export function answerFor(call: Call, payload: string): unknown {
  if (call.chunks === undefined) {
    const plain = wholeAnswer(payload);
    return call.revive === undefined ? plain : call.revive(plain);
  }
  if (!isStreamPayload(payload)) return new ChunkList(chunksOfCompletion(decodeValue(payload) as Record<string, unknown>));
  // `revive` may throw, which has to show before the first chunk is out.
  return call.revive === undefined ? new Replay(payload, call.chunks) : new ChunkList(chunksIn(payload, call.chunks));
}
