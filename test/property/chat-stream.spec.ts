import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { chunksOfCompletion, openAiChatStream } from '../../lib/policy/openai-chat-stream.js';

type Fields = Record<string, unknown>;

const assemble = (chunks: Fields[]): unknown => openAiChatStream.assemble(chunks);

/** The fields of the first ones first; a spread copies `__proto__` too. */
function mix(...[first, ...others]: object[]): Fields {
  return others.length === 0 ? { ...first } : { ...mix(...others), ...first };
}

const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.constantFrom('😀👍🏽', '\ud800', '{"city":"Tōkyō 🗼"}', ''));
const textOrNull = fc.option(text);
const json = fc.jsonValue({ maxDepth: 2 });

/** Fields that no version of the API has yet, also such as have a meaning in JavaScript. */
const unknownName = fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'audio', 'citations', 'x_groq', 'channel');
const unknownFields = fc.dictionary(unknownName, json, { maxKeys: 2, noNullPrototype: true });
const annotation = fc.record({ type: fc.constant('url_citation'), url_citation: fc.record({ url: text, title: text, start_index: fc.nat(9), end_index: fc.nat(9) }) });
const token = fc.record({ token: text, logprob: fc.double({ max: 0, noNaN: true, noDefaultInfinity: true }), bytes: fc.option(fc.array(fc.nat(255), { maxLength: 3 })), top_logprobs: fc.constant([]) });

const calls = fc.array(fc.record({ name: fc.constantFrom('weather', 'search'), args: text }), { minLength: 1, maxLength: 3 });
const toolCalls = calls.map((list) => list.map(({ name, args }, index) => ({ id: `call_${index}`, type: 'function', function: { name, arguments: args } })));

const message = fc
  .tuple(
    fc.record({ role: fc.constant('assistant'), content: textOrNull }),
    fc.record({ refusal: textOrNull, reasoning_content: textOrNull, annotations: fc.array(annotation, { maxLength: 2 }), tool_calls: toolCalls }, { requiredKeys: [] }),
    unknownFields,
  )
  .map((parts) => mix(...parts));

const logprobs = fc.option(fc.record({ content: fc.option(fc.array(token, { maxLength: 3 })), refusal: fc.option(fc.array(token, { maxLength: 2 })) }));
const choice = fc.record({ message, finish_reason: fc.constantFrom('stop', 'length', 'tool_calls', 'content_filter', null), logprobs }, { requiredKeys: ['message', 'finish_reason'] });
const usage = fc.record({ prompt_tokens: fc.nat(), completion_tokens: fc.nat(), total_tokens: fc.nat(), prompt_tokens_details: fc.option(fc.record({ cached_tokens: fc.nat() })) });

const head = fc.record(
  { id: fc.constantFrom('chatcmpl-1', ''), object: fc.constant('chat.completion'), created: fc.nat(), model: fc.constantFrom('gpt-4o', ''), system_fingerprint: textOrNull, service_tier: textOrNull },
  { requiredKeys: ['id', 'object', 'created', 'model'] },
);

const completion = (choices: fc.Arbitrary<unknown>): fc.Arbitrary<Fields> =>
  fc
    .tuple(head, unknownFields, fc.array(choices, { maxLength: 3 }), fc.option(fc.option(usage), { nil: undefined }))
    .map(([identity, unknown, list, used]) => mix(identity, { choices: list.map((item, index) => Object.assign({ index }, item)) }, used === undefined ? {} : { usage: used }, unknown));

describe('a completion as a stream', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(completion(choice), (given) => {
        const before = structuredClone(given);
        const chunks = chunksOfCompletion(given);
        const kept = structuredClone(chunks);
        expect(assemble(chunks)).toEqual(before);
        expect(chunks).toEqual(kept);
        expect(given).toEqual(before);
      }),
      { numRuns: 300 },
    );
  });

  it('never reaches beyond itself', () => {
    const chunk = JSON.parse('{"object":"chat.completion.chunk","__proto__":{"evil":1},"choices":[{"__proto__":{"evil":1},"delta":{"__proto__":{"evil":1},"constructor":{"prototype":{"evil":1}}}}]}') as Fields;
    assemble([chunk, chunk]);
    expect('evil' in {}).toBe(false);
    expect('evil' in Object).toBe(false);
  });
});

/** What a server may do besides. */
const habits = fc.record({
  roleInEachDelta: fc.boolean(),
  nullContent: fc.boolean(),
  nameInEachPiece: fc.boolean(),
  reasonWithLastPiece: fc.boolean(),
  choicesTogether: fc.boolean(),
  usage: fc.constantFrom('end', 'front', 'each', 'null-then-end'),
  azureFirst: fc.boolean(),
});

/** The pieces of a text cut at any code unit; never none. */
const cut = (whole: string, places: readonly number[]): string[] => {
  const ends = [...new Set(places.map((place) => place % (whole.length + 1)))].sort((a, b) => a - b);
  return [...ends, whole.length].map((end, index) => whole.slice(ends[index - 1] ?? 0, end));
};

interface Habits {
  roleInEachDelta: boolean;
  nullContent: boolean;
  nameInEachPiece: boolean;
  reasonWithLastPiece: boolean;
  choicesTogether: boolean;
  usage: string;
  azureFirst: boolean;
}

interface Cut {
  role: string;
  content: string;
  reasoning_content?: string;
  refusal?: string;
  tool_calls?: Array<{ id: string; type: string; function: { name: string; arguments: string } }>;
}

function deltasOf({ role, content, tool_calls: list = [], ...texts }: Cut, places: number[], habit: Habits): Fields[] {
  const deltas: Fields[] = [{ role, content: habit.nullContent ? null : '' }];
  for (const [field, whole] of Object.entries({ content, ...texts })) for (const piece of cut(whole, places)) deltas.push({ [field]: piece });
  for (const [index, { id, type, function: { name, arguments: args } }] of list.entries()) {
    const [first, ...others] = cut(args, places);
    deltas.push({ tool_calls: [{ index, id, type, function: { name, arguments: first } }] });
    for (const piece of others) deltas.push({ tool_calls: [{ index, ...(habit.nameInEachPiece ? { id: '', type } : {}), function: { ...(habit.nameInEachPiece ? { name } : {}), arguments: piece } }] });
  }
  return deltas.map((delta) => mix(delta, habit.roleInEachDelta ? { role } : {}, habit.nullContent ? { content: null } : {}));
}

const cutMessage = fc
  .record({ content: text, reasoning_content: text, refusal: text, tool_calls: toolCalls }, { requiredKeys: ['content'] })
  .map((fields) => mix(fields, { role: 'assistant' }));
const cutChoice = fc.record({ message: cutMessage, finish_reason: fc.constantFrom('stop', 'length', 'tool_calls'), logprobs: fc.constant(null) });

describe('a completion in pieces', () => {
  it('is put together again, wherever it is cut and whatever a server adds', () => {
    fc.assert(
      fc.property(completion(cutChoice), fc.array(fc.nat(30), { maxLength: 5 }), habits, usage, (whole, places, habit, used) => {
        const given = { ...whole, usage: used };
        const { choices, usage: _usage, ...rest } = given as unknown as { choices: Array<{ index: number; message: Cut; finish_reason: string }>; usage: unknown };
        const identity = { ...rest, object: 'chat.completion.chunk' };
        const lists = choices.map(({ index, message: said, finish_reason: reason }) => {
          const pieces: Fields[] = deltasOf(said, places, habit).map((delta) => ({ index, delta, logprobs: null, finish_reason: null }));
          if (habit.reasonWithLastPiece) pieces.at(-1)!['finish_reason'] = reason;
          else pieces.push({ index, delta: {}, logprobs: null, finish_reason: reason });
          return pieces;
        });
        const longest = Math.max(0, ...lists.map((list) => list.length));
        const rows = habit.choicesTogether ? Array.from({ length: longest }, (_, row) => lists.flatMap((list) => list.slice(row, row + 1))) : lists.flat().map((piece) => [piece]);
        const soFar = habit.usage === 'each' ? { usage: { ...used, completion_tokens: 0 } } : habit.usage === 'null-then-end' ? { usage: null } : {};
        const chunks: Fields[] = rows.map((row) => mix(identity, { choices: row }, soFar));
        if (habit.usage === 'front') chunks.unshift({ ...identity, choices: [], usage: used });
        else chunks.push({ ...identity, choices: [], usage: used });
        if (habit.azureFirst) chunks.unshift({ id: '', object: '', created: 0, model: '', choices: [] }, { prompt_filter_results: [] }, { ...identity });
        expect(assemble(chunks)).toEqual(given);
      }),
      { numRuns: 300 },
    );
  });
});
