import type { Inspection } from '../policy/gate.js';
import { joinChunks } from '../streaming/chunk-codec.js';
import { Recording } from '../streaming/recording.js';
import { admits, type Known } from './admission.js';
import { wholeAnswer } from './answers.js';
import type { Call } from './call.js';
import type { Examined } from './privacy.js';

/** The gate's view of what was produced: an answer, or the stream that was recorded. */
export function inspect(call: Call, value: unknown, known: Known): Inspection {
  if (!(value instanceof Recording)) return admits(call, value, false, known);
  if (value.texts !== undefined) return admits(call, wholeAnswer(joinChunks(value.texts)), false, known);
  return { refused: value.unwritable === undefined ? 'too-large' : 'unstorable' };
}

/** The answer as everybody may have it, as far as personal data goes. */
export async function examine({ privacy, redaction, isFromRaw }: Call, value: unknown): Promise<Examined> {
  if (privacy === undefined) return { value, refused: undefined };
  if (isFromRaw?.()) return { value, refused: 'pii' };
  if (!(value instanceof Recording)) return privacy.examine(value, false, redaction);
  if (value.texts === undefined) return { value, refused: undefined }; // not stored anyway
  const { refused } = await privacy.examine(wholeAnswer(joinChunks(value.texts)), true, redaction);
  return { value, refused };
}
