import { isRecord } from '../core/check-options.js';
import { listOf, recordOf } from './answer-parts.js';
import { geminiShape } from './gemini-shape.js';
import type { StreamShape } from './streamed-answer.js';

type Fields = Record<string, unknown>;

/** Gemini streams responses that look whole. Their parts follow each other; of everything else the last word counts. */
export const geminiStream: StreamShape = {
  matches: geminiShape.matches,
  assemble: (chunks) => {
    const answer: Fields = {};
    const candidates = new Map<unknown, { fields: Fields; parts: unknown[] }>();
    for (const chunk of chunks) {
      if (!FIELDS.some((field) => field in chunk)) continue;
      addPresent(answer, chunk);
      for (const candidate of listOf(chunk['candidates']).filter(isRecord)) {
        const index = candidate['index'] ?? 0;
        const known = candidates.get(index) ?? { fields: {}, parts: [] };
        candidates.set(index, known);
        addPresent(known.fields, candidate);
        known.parts.push(...listOf(recordOf(candidate['content'])['parts']));
      }
    }
    if (candidates.size > 0) answer['candidates'] = [...candidates.values()].map(({ fields, parts }) => Object.assign(fields, { content: { role: 'model', parts } }));
    return answer;
  },
};

const FIELDS = ['candidates', 'promptFeedback', 'prompt_feedback', 'usageMetadata', 'usage_metadata'];

/** What says nothing does not undo what was said. `__proto__` would be set rather than copied. */
function addPresent(target: Fields, source: Fields): void {
  for (const field of Object.keys(source)) {
    const value = source[field];
    if (value !== null && value !== undefined && field !== '__proto__') target[field] = value;
  }
}
