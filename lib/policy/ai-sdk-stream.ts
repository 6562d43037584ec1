import type { StreamShape } from './streamed-answer.js';

type Fields = Record<string, unknown>;

/**
 * The parts of the AI SDK's `fullStream`, of its UI message stream, and of a language model's `doStream`. The whole is
 * like a result of `generateText`; without `finish` it is unfinished.
 */
export const aiSdkStream: StreamShape = {
  matches: (part) => {
    const { type } = part;
    if (type === 'text-delta' || type === 'reasoning-delta') return typeof part['id'] === 'string' && typeof (part['text'] ?? part['delta']) === 'string';
    if (type === 'finish' || type === 'finish-step') return 'finishReason' in part;
    if (type === 'start-step' || type === 'stream-start') return Array.isArray(part['warnings']);
    if (type === 'text-start' || type === 'reasoning-start') return typeof part['id'] === 'string';
    return TOOL_PARTS.has(type) && typeof (part['toolCallId'] ?? part['id']) === 'string';
  },
  assemble: (parts) => {
    let end: Fields = { finishReason: 'unknown' };
    let response: unknown;
    let content = new Content();
    const steps: Fields[] = [];
    for (const part of parts) {
      const { type, ...fields } = part;
      if (type === 'start-step') content = new Content();
      else if (type === 'finish-step') steps.push({ ...fields, content: content.parts });
      else if (type === 'response-metadata') response = fields;
      else if (type === 'finish') end = fields;
      else if (type === 'abort') return { content: content.parts, steps, finishReason: 'unknown' };
      else content.add(part);
    }
    return { ...endOf(end, steps.at(-1)), content: content.parts, steps, response: steps.at(-1)?.['response'] ?? response };
  },
};

const TOOL_PARTS: ReadonlySet<unknown> = new Set(['tool-input-start', 'tool-input-available', 'tool-call', 'tool-result']);

/** The UI message stream may leave the reason to its steps. */
function endOf(end: Fields, lastStep: Fields | undefined): Fields {
  const { finishReason = lastStep?.['finishReason'] ?? 'unknown' } = end;
  return { ...end, finishReason };
}

/** What has been said in one step. */
class Content {
  readonly parts: unknown[] = [];
  private readonly open = new Map<unknown, { text: string }>();

  add(part: Fields): void {
    const { type } = part;
    if (type === 'text-delta') this.append('text', part);
    else if (type === 'reasoning-delta') this.append('reasoning', part);
    else if (UI_PARTS.has(type)) this.parts.push({ ...part, ...UI_PARTS.get(type) });
    else if (WHOLE.has(type)) this.parts.push(part);
  }

  private append(type: string, { id, text, delta }: Fields): void {
    const key = `${type} ${String(id)}`;
    let part = this.open.get(key);
    if (part === undefined) {
      part = Object.assign({ text: '' }, { type });
      this.open.set(key, part);
      this.parts.push(part);
    }
    const piece = text ?? delta;
    if (typeof piece === 'string') part.text += piece;
  }
}

/** Parts that are in a whole answer as they are in the stream. */
const WHOLE: ReadonlySet<unknown> = new Set([
  'tool-call', 'tool-result', 'tool-error', 'tool-output-denied', 'tool-approval-request', 'source', 'file',
]);

/** What the UI message stream calls by another name. */
const UI_PARTS: ReadonlyMap<unknown, Fields> = new Map<unknown, Fields>([
  ['tool-input-available', { type: 'tool-call' }],
  ['tool-input-error', { type: 'tool-call', invalid: true }],
  ['tool-output-available', { type: 'tool-result' }],
  ['tool-output-error', { type: 'tool-error' }],
]);
