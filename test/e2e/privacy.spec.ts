import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import request from 'supertest';
import { post, SampleApp } from './sample-app.js';

const CUSTOMERS = ['jo.doe@example.com', 'al@example.org'];
const question = (address: string): string => `Where is my parcel? Write to ${address}, please.`;
const answer = (address: string): string => `Your parcel left us this morning. We will write to ${address} as soon as it has arrived.`;

/** What the events of a streamed reply say together. */
function textOf({ text }: request.Response): string {
  const events = text.split('\n\n').map((event) => event.slice('data: '.length));
  return events.filter((data) => data.startsWith('{')).map((data) => (JSON.parse(data) as { text: string }).text).join('');
}

/** Each way to ask the sample app, and what a customer reads. */
const ways: Array<[string, (app: INestApplication, address: string) => Promise<string>, (address: string) => string]> = [
  ['POST /ask', async (app, address) => ((await post(app, '/ask', { question: question(address) }).expect(200)).body as { answer: string }).answer, answer],
  [
    'POST /tickets/reply, streamed',
    async (app, address) => textOf(await post(app, '/tickets/reply', { ticket: `Write to ${address}, please` }).expect(200)),
    (address) => expect.stringContaining(`You say: "Write to ${address}, please"`) as unknown as string,
  ],
  [
    'POST /v1/chat/completions',
    async (app, address) => {
      const { body } = await post(app, '/v1/chat/completions', { model: 'test-model', messages: [{ role: 'user', content: question(address) }] }).expect(200);
      return (body as { choices: Array<{ message: { content: string } }> }).choices[0]!.message.content;
    },
    answer,
  ],
];

describe('the sample app with LLM_CACHE_PII=pseudonymize', () => {
  let sample: SampleApp;
  let app: INestApplication;

  beforeEach(async () => {
    sample = await SampleApp.prepare();
    app = await sample.start({ LLM_CACHE_PII: 'pseudonymize' });
  });

  afterEach(() => sample.close());

  it.each(ways)('%s: one upstream call for two customers, each with their own address, and none at rest', async (_way, ask, expected) => {
    for (const address of [...CUSTOMERS, ...CUSTOMERS]) expect(await ask(app, address)).toEqual(expected(address));
    expect(sample.upstreamCalls).toBe(1);
    const asked = JSON.stringify(sample.llm.getRequests());
    expect(asked).toContain('Write to [[EMAIL_1]], please');
    for (const files of [await sample.atRest(), await app.close().then(() => sample.atRest())]) {
      expect(files.includes('[[EMAIL_1]]')).toBe(true);
      for (const address of CUSTOMERS) expect(files.includes(address) || asked.includes(address)).toBe(false);
    }
  });

  it('serves each customer from the file after a restart', async () => {
    await ways[0]![1](app, CUSTOMERS[0]!);
    await app.close();
    app = await sample.start({ LLM_CACHE_PII: 'pseudonymize' });
    expect(await ways[0]![1](app, CUSTOMERS[1]!)).toBe(answer(CUSTOMERS[1]!));
    expect(sample.upstreamCalls).toBe(1);
  });

  it('finds nothing that was stored without it, and says so about a mode that does not exist', async () => {
    const without = await sample.start();
    await ways[0]![1](without, CUSTOMERS[0]!);
    expect(await ways[0]![1](app, CUSTOMERS[0]!)).toBe(answer(CUSTOMERS[0]!));
    expect(sample.upstreamCalls).toBe(2);
    await expect(sample.start({ LLM_CACHE_PII: 'always' })).rejects.toThrow(/option "pii.mode" must be .*'pseudonymize'/);
  });
});
