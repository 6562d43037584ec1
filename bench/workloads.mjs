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

const SENTENCES = [
  'Please compare both options, and cite the source. ',
  'Le délai de livraison a été dépassé à cause d’une grève. ',
  'Die Prüfung der Anträge wird größere Verzögerungen verursachen. ',
  'Пожалуйста, проверьте договор и найдите противоречия. ',
  'يرجى تلخيص المستند التالي في ثلاث نقاط رئيسية. ',
  '请总结以下客户反馈，并给出三条改进建议。',
  '次の会議の議事録を要約してください。',
  '다음 고객 문의를 분류하고 우선순위를 정해 주세요. ',
  'कृपया इस दस्तावेज़ का सारांश लिखें। ',
  'Great job 🎉🚀, thank you 🙏 ',
];

/** The same with its long texts in ten languages, as long in UTF-8. */
export function multilingual(value) {
  if (typeof value === 'string') return value.length < 200 ? value : multilingualText(value.length);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).map(([name, field]) => [name, multilingual(field)]);
  return Array.isArray(value) ? fields.map(([, field]) => field) : Object.fromEntries(fields);
}

function multilingualText(bytes) {
  const sentences = [];
  for (let length = 0; length < bytes; length += Buffer.byteLength(sentences.at(-1))) sentences.push(SENTENCES[sentences.length % SENTENCES.length]);
  return sentences.join('');
}

export const copyOf = (value) => JSON.parse(JSON.stringify(value));

/** Prose, code and data with a number or an address now and then, as prompts have them. */
export const PROMPT = `You are a support agent. Answer in three sentences, in the language of the customer.

Customer: Hi, this is Jo. I ordered two lamps on 2026-11-02 (order 4471-0093, 129.90 EUR), and only one of them arrived. You can
reach me at jo.doe@example.com or on 020 7946 0958 until 18:00. I paid with the card ending in 4242; the invoice says INV-2026-00417.
Is there anything in section 4.3 of your terms about late parcels? The tracking page shows "in transit" since 09:14:55.

\`\`\`ts
export const total = (items: readonly Item[]): number => items.reduce((sum, { price, count }) => sum + price * count, 0);
const response = await fetch(\`https://api.example.com/v2/orders/\${id}?expand=items&limit=100\`, { headers: { accept: 'application/json' } });
\`\`\`
{"model":"gpt-4o-mini","temperature":0.2,"max_tokens":512,"metadata":{"id":"6fa459ea-ee8a-3ca4-894e-db77e160355e","ts":1732332968123}}
The quick brown fox jumps over the lazy dog, while seven wise men discuss whether the year 1987 was warmer than 1986 or not.
`;

/** Of this length, in one piece, as a parsed request has it. */
export const repeated = (piece, length) => JSON.parse(JSON.stringify(piece.repeat(Math.ceil(length / piece.length)).slice(0, length)));
