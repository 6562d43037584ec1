import { isRecord } from '../core/check-options.js';
import { parseJson } from '../core/json.js';
import { listOf, recordOf } from './answer-parts.js';
import type { StreamShape } from './streamed-answer.js';

type Fields = Record<string, unknown>;

/** The events of Anthropic Messages. Until `message_delta` has brought the stop reason, the message is unfinished. */
export const anthropicMessagesStream: StreamShape = {
  matches: ({ type, message, delta, content_block: block }) =>
    (type === 'message_start' && isRecord(message)) ||
    ((type === 'content_block_delta' || type === 'message_delta') && isRecord(delta)) ||
    (type === 'content_block_start' && isRecord(block)),
  assemble: (events) => {
    let message: Fields = { type: 'message', role: 'assistant', stop_reason: null };
    let blocks = new Map<unknown, Block>();
    for (const event of events) {
      const { type, index, delta } = event;
      if (type === 'message_start') {
        // A method that goes on after a tool call streams one message after the other; the last one is its answer.
        message = { stop_reason: null, ...recordOf(event['message']) };
        blocks = new Map();
      } else if (type === 'content_block_start') {
        blocks.set(index, { fields: { ...recordOf(event['content_block']) }, json: '' });
      } else if (type === 'content_block_delta') {
        const block = blocks.get(index) ?? { fields: { type: 'text' }, json: '' };
        blocks.set(index, block);
        addDelta(block, recordOf(delta));
      } else if (type === 'message_delta') {
        message = { ...message, ...present(delta), usage: { ...recordOf(message['usage']), ...present(event['usage']) } };
      }
    }
    return { ...message, content: [...blocks.values()].map(contentOf) };
  },
};

/** A content block, and the input of its tool as far as it is there. */
interface Block {
  readonly fields: Fields;
  json: string;
}

/** Pieces of text by the field they belong to: `text_delta`, `thinking_delta`, `signature_delta`. */
const TEXTS = ['text', 'thinking', 'signature'];

function addDelta(block: Block, delta: Fields): void {
  if (typeof delta['partial_json'] === 'string') block.json += delta['partial_json'];
  if (isRecord(delta['citation'])) block.fields['citations'] = [...listOf(block.fields['citations']), delta['citation']];
  for (const field of TEXTS) {
    const piece = delta[field];
    if (typeof piece === 'string') block.fields[field] = `${(block.fields[field] as string | undefined) ?? ''}${piece}`;
  }
}

/** Input that is no JSON is handed over unread, as in a whole answer. */
function contentOf({ fields, json }: Block): Fields {
  if (json === '') return fields;
  try {
    return { ...fields, input: parseJson(json) };
  } catch {
    return { ...fields, input: json };
  }
}

/** What is null has been said before. */
function present(fields: unknown): Fields {
  return Object.fromEntries(Object.entries(recordOf(fields)).filter(([, value]) => value !== null));
}
