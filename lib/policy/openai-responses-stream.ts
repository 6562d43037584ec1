import { isRecord } from '../core/check-options.js';
import { listOf, recordOf, textOf } from './answer-parts.js';
import type { StreamShape } from './streamed-answer.js';

/** The events of OpenAI Responses. The last one carries the whole answer; until then it is in progress. */
export const openAiResponsesStream: StreamShape = {
  matches: ({ type }) => typeof type === 'string' && type.startsWith('response.'),
  assemble: (events) => {
    const last = events.findLast(({ type }) => TERMINAL.has(type));
    const latest = recordOf((last ?? events.findLast(({ response }) => isRecord(response)))?.['response']);
    const answer = { object: 'response', ...latest, status: last === undefined ? 'in_progress' : (latest['status'] ?? TERMINAL.get(last['type'])) };
    return listOf(latest['output']).length > 0 ? answer : { ...answer, output: outputOf(events) };
  },
};

const TERMINAL: ReadonlyMap<unknown, string> = new Map([
  ['response.completed', 'completed'],
  ['response.incomplete', 'incomplete'],
  ['response.failed', 'failed'],
  ['response.cancelled', 'cancelled'],
]);

/** Some servers leave the output out of the last event, having sent it all before. */
function outputOf(events: ReadonlyArray<Record<string, unknown>>): unknown[] {
  const items = events.filter(({ type }) => type === 'response.output_item.done').map(({ item }) => item);
  if (items.length > 0) return items;
  const text = events.filter(({ type }) => type === 'response.output_text.delta').map(({ delta }) => textOf(delta) ?? '').join('');
  return text === '' ? [] : [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text }] }];
}
