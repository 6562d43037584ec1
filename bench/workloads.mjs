const SENTENCE = 'The customer writes: "my invoice is wrong", and would like an answer by Friday. ';

const text = (length) => SENTENCE.repeat(Math.ceil(length / SENTENCE.length)).slice(0, length);

const tool = (number) => ({
  type: 'function',
  function: {
    name: `look_up_${number}`,
    description: `Looks up record ${number} in the archive`,
    parameters: {
      type: 'object',
      properties: { query: { type: 'string', description: 'what to look for' }, limit: { type: 'integer', minimum: 1 } },
      required: ['query'],
    },
  },
});

const settings = { model: 'gpt-4o-mini', temperature: 0, max_tokens: 256, seed: 1 };

/** Chat requests of about the size in their name, as JSON. Parsed anew for each run, as a server would. */
export const REQUESTS = {
  '200 B': { ...settings, messages: [{ role: 'user', content: text(100) }] },
  '2 KB': {
    ...settings,
    tools: [1, 2, 3].map(tool),
    messages: [
      { role: 'system', content: text(300) },
      { role: 'user', content: text(700) },
    ],
  },
  '20 KB': {
    ...settings,
    tools: [1, 2, 3].map(tool),
    messages: Array.from({ length: 8 }, (_, index) => ({ role: index % 2 ? 'assistant' : 'user', content: text(2_350) })),
  },
  '200 KB': {
    ...settings,
    messages: Array.from({ length: 40 }, (_, index) => ({ role: index % 2 ? 'assistant' : 'user', content: text(5_000) })),
  },
};

/** A chat completion whose JSON is about this long. */
export const response = (bytes) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_760_000_000,
  model: 'gpt-4o-mini',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: text(Math.max(20, bytes - 260)), refusal: null } }],
  usage: { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 },
});

export const copyOf = (value) => JSON.parse(JSON.stringify(value));
