import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  CacheLlm, type CacheOutcome, type CallOptions, type ChatChunk, type ChatRequest, type ChatResponse, LlmCache, LlmCacheConfigError, type LlmCacheOptions, LlmService,
  type PiiOptions, PiiRedactionError, UncacheableInputError, withCacheControl,
} from 'nestjs-llm-cache';
import { FakeClock, FakeLlmProvider, LlmCacheTestingModule, type ScriptedAnswer } from 'nestjs-llm-cache/testing';
import { opened } from '../../fixtures/apps.js';
import { all, ask, echo, textOf } from '../../fixtures/batches.js';
import { settled } from '../../fixtures/deferred.js';

const [ANN, BEN, CARD] = ['ann@example.com', 'ben@example.org', '4111 1111 1111 1111'];

@Injectable()
class Mailer {
  readonly seen: unknown[][] = [];

  constructor(readonly llm: LlmService) {}

  @CacheLlm()
  async write(...args: unknown[]): Promise<unknown> {
    this.seen.push(args);
    return { subject: 'Hello', body: `Dear ${JSON.stringify(args[0])}`, list: [String(args[0])] };
  }

  @CacheLlm()
  async *stream(address: string): AsyncGenerator<string> {
    this.seen.push([address]);
    for (const piece of ['To ', address.slice(0, 5), address.slice(5), '.']) yield piece;
  }

  @CacheLlm({ pii: false })
  async plain(address: string): Promise<string> {
    this.seen.push([address]);
    return `To ${address}`;
  }

  @CacheLlm({ pii: { mode: 'bypass' } })
  async careful(address: string): Promise<string> {
    this.seen.push([address]);
    return 'done';
  }

  @CacheLlm({ key: (address: string) => ({ to: address }), tags: (address: string) => [address], scope: (address: string) => address.split('@')[1] })
  async keyed(address: string): Promise<string> {
    this.seen.push([address]);
    return `To ${address}`;
  }

  @CacheLlm()
  async viaModel(address: string): Promise<string> {
    return this.llm.text(`Write to ${address}, copy boss@example.net`);
  }
}

interface Started {
  llm: LlmService;
  llmCache: LlmCache;
  provider: FakeLlmProvider;
  mailer: Mailer;
  stored: () => string;
}

async function start(pii: LlmCacheOptions['pii'], options: LlmCacheOptions & { clock?: FakeClock } = {}, ...script: ScriptedAnswer[]): Promise<Started> {
  const provider = new FakeLlmProvider(...(script.length > 0 ? script : [(request: ChatRequest) => `You said: ${echo(request)}`]));
  const stores = new Map<string, unknown>();
  const moduleRef = await Test.createTestingModule({
    imports: [LlmCacheTestingModule.forRoot({ provider, stores, pii, ...options })],
    providers: [{ provide: Mailer, inject: [LlmService], useFactory: (llm: LlmService) => new Mailer(llm) }],
  }).compile();
  opened(moduleRef);
  await moduleRef.init();
  const llmCache = moduleRef.get(LlmCache);
  return { llm: moduleRef.get(LlmService), llmCache, provider, mailer: moduleRef.get(Mailer), stored: () => JSON.stringify([...stores]) };
}

async function told<T>(run: (options: CallOptions) => Promise<T>): Promise<[T, CacheOutcome]> {
  let outcome: CacheOutcome | undefined;
  const value = await run({ onOutcome: (end) => (outcome = end) });
  return [value, outcome!];
}

const content = ({ choices }: ChatResponse): unknown => choices[0]!.message.content;

async function collected<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of stream) list.push(item);
  return list;
}

const textOfChunks = (chunks: ChatChunk[]): string => chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');

describe('bypass', () => {
  it('serves a personal question without reading or storing, each time', async () => {
    const { llm, llmCache, provider, stored } = await start({});
    for (let time = 0; time < 2; time++) {
      const [text, outcome] = await told((options) => llm.text(`Mail ${ANN}`, {}, options));
      expect(text).toBe(`You said: Mail ${ANN}`);
      expect(outcome).toMatchObject({ status: 'bypass', reason: 'pii', stored: false });
    }
    expect(provider.calls).toHaveLength(2);
    expect(llmCache.stats()).toMatchObject({ bypassed: 2, stored: 0 });
    expect(stored()).toBe('[]');
  });

  it('stores what is not personal', async () => {
    const { llm, provider } = await start({});
    await llm.text('What is the capital of Japan?');
    const [, outcome] = await told((options) => llm.text('What is the capital of Japan?', {}, options));
    expect(outcome.status).toBe('hit');
    expect(provider.calls).toHaveLength(1);
  });

  it('serves a personal answer and does not store it', async () => {
    const { llm, provider, stored } = await start({}, {}, `Your card is ${CARD}`);
    for (let time = 0; time < 2; time++) {
      const [text, outcome] = await told((options) => llm.text('Which card?', {}, options));
      expect(text).toContain(CARD);
      expect(outcome).toMatchObject({ status: 'miss', reason: 'pii', stored: false });
    }
    expect(provider.calls).toHaveLength(2);
    expect(stored()).not.toContain(CARD);
  });

  it.each([
    ['redact', (text: string) => expect(text).toBe('Your card is [[CREDIT_CARD_1]]')],
    ['store', (text: string) => expect(text).toBe(`Your card is ${CARD}`)],
  ] as const)('with onResponsePii %s, a hit equals its miss', async (onResponsePii, check) => {
    const { llm, provider } = await start({ onResponsePii }, {}, `Your card is ${CARD}`);
    for (let time = 0; time < 2; time++) check(await llm.text('Which card?'));
    expect(provider.calls).toHaveLength(1);
  });

  it('looks into arguments, streams and batches', async () => {
    const { llm, mailer, provider, stored } = await start({});
    for (let time = 0; time < 2; time++) {
      await mailer.write({ deep: [{ to: ANN }] });
      await collected(mailer.stream(ANN));
      await collected(llm.stream(ask(`Mail ${ANN}`)));
      await all(llm.batch([ask(`Mail ${BEN}`)]));
    }
    expect(mailer.seen).toHaveLength(4);
    expect(provider.calls).toHaveLength(4);
    expect(stored()).toBe('[]');
  });
});

describe('redact', () => {
  it('lets the model see the redacted text, under a key that covers exactly that', async () => {
    const { llm, provider, stored } = await start({ mode: 'redact' });
    expect(await llm.text(`Mail ${ANN} and ${BEN}`)).toBe('You said: Mail [[EMAIL_1]] and [[EMAIL_2]]');
    expect(await llm.text(`Mail ${BEN} and ${ANN}`)).toBe('You said: Mail [[EMAIL_1]] and [[EMAIL_2]]');
    await llm.text(`Mail ${ANN} and ${ANN}`);
    expect(provider.calls.map(echo)).toEqual(['Mail [[EMAIL_1]] and [[EMAIL_2]]', 'Mail [[EMAIL_1]] and [[EMAIL_1]]']);
    expect(stored()).not.toContain('example.');
  });

  it('takes a function, and never shows the model what it took out', async () => {
    const { llm, provider } = await start({ mode: 'redact', redactor: (text) => text.replace(/Ann|Ben/g, 'NAME') });
    expect(await llm.text('Greet Ann')).toBe('You said: Greet NAME');
    expect(await llm.text('Greet Ben')).toBe('You said: Greet NAME');
    expect(provider.calls.map(echo)).toEqual(['Greet NAME']);
  });
});

describe('a placeholder that a user typed', () => {
  it('is text like any other where nothing is put back', async () => {
    const { llm, provider } = await start({ mode: 'redact' });
    for (let time = 0; time < 2; time++) expect(await llm.text('print [[NOTE_1]]')).toBe('You said: print [[NOTE_1]]');
    expect(provider.calls).toHaveLength(1);
  });
});

describe('pseudonymize', () => {
  it('has one entry for one template, and gives each caller their own values back', async () => {
    const { llm, provider, stored } = await start({ mode: 'pseudonymize' });
    expect(await llm.text(`Mail ${ANN}`)).toBe(`You said: Mail ${ANN}`);
    expect(await llm.text(`Mail ${BEN}`)).toBe(`You said: Mail ${BEN}`);
    expect(provider.calls.map(echo)).toEqual(['Mail [[EMAIL_1]]']);
    expect(stored()).toContain('[[EMAIL_1]]');
    expect(stored()).not.toContain('example.');
  });

  it('keeps the order apart from the values: from a to b, from b to a, from a to a', async () => {
    const { llm, provider } = await start({ mode: 'pseudonymize' });
    expect(await llm.text(`from ${ANN} to ${BEN}`)).toBe(`You said: from ${ANN} to ${BEN}`);
    expect(await llm.text(`from ${BEN} to ${ANN}`)).toBe(`You said: from ${BEN} to ${ANN}`);
    expect(await llm.text(`from ${ANN} to ${ANN}`)).toBe(`You said: from ${ANN} to ${ANN}`);
    expect(provider.calls).toHaveLength(2);
  });

  it('gives callers at the same time one upstream call, and each their own values', async () => {
    const { llm, llmCache, provider } = await start({ mode: 'pseudonymize' });
    const addresses = Array.from({ length: 20 }, (_, index) => `user${index}@example.com`);
    const answers = await Promise.all(addresses.map((address) => llm.text(`Mail ${address}`)));
    expect(answers).toEqual(addresses.map((address) => `You said: Mail ${address}`));
    expect(provider.calls).toHaveLength(1);
    expect(llmCache.stats()).toMatchObject({ misses: 1, coalesced: 19 });
  });

  it('restores batches row by row, repeats and stored ones too', async () => {
    const { llm, provider } = await start({ mode: 'pseudonymize' }, {}, (request) => ({
      choices: [{ finish_reason: echo(request).includes('cut') ? 'length' : 'stop', message: { role: 'assistant', content: echo(request) } }],
    }));
    const texts = [`Mail ${ANN}`, `Mail ${BEN}`, `cut ${ANN}`, `cut ${BEN}`, ...Array.from({ length: 300 }, (_, index) => `row ${index}`), `Mail eve@example.net`, `cut eve@example.net`];
    const items = await all(llm.batch(texts.map((text) => ask(text))));
    expect(items.map(textOf)).toEqual(texts);
    expect(provider.calls.map(echo).filter((text) => text.includes('['))).toEqual(['Mail [[EMAIL_1]]', 'cut [[EMAIL_1]]']);
  });

  it('restores streams that are joined, replayed and shared with chat', async () => {
    const { llm, provider } = await start({ mode: 'pseudonymize' });
    const [ann, ben] = await Promise.all([ANN, BEN].map((address) => collected(llm.stream(ask(`Mail ${address}`)))));
    expect([ann, ben].map((chunks) => textOfChunks(chunks!))).toEqual([`You said: Mail ${ANN}`, `You said: Mail ${BEN}`]);
    expect(textOfChunks(await collected(llm.stream(ask('Mail eve@example.net'))))).toBe('You said: Mail eve@example.net');
    expect(content(await llm.chat(ask('Mail dan@example.net')))).toBe('You said: Mail dan@example.net');
    expect(provider.calls).toHaveLength(1);
  });

  it('gives a decorated method the pseudonymised arguments, and restores its result, nested and streamed', async () => {
    const { mailer } = await start({ mode: 'pseudonymize' });
    expect(await mailer.write(ANN)).toEqual({ subject: 'Hello', body: `Dear "${ANN}"`, list: [ANN] });
    expect(await mailer.write(BEN)).toEqual({ subject: 'Hello', body: `Dear "${BEN}"`, list: [BEN] });
    expect(mailer.seen).toEqual([['[[EMAIL_1]]']]);
    expect((await collected(mailer.stream(ANN))).join('')).toBe(`To ${ANN}.`);
    expect((await collected(mailer.stream(BEN))).join('')).toBe(`To ${BEN}.`);
    expect(mailer.seen).toHaveLength(2);
  });

  it('hands placeholders through to the calls inside a method', async () => {
    const { mailer, provider } = await start({ mode: 'pseudonymize' });
    expect(await mailer.viaModel(ANN)).toBe(`You said: Write to ${ANN}, copy boss@example.net`);
    expect(await mailer.viaModel(BEN)).toBe(`You said: Write to ${BEN}, copy boss@example.net`);
    expect(provider.calls.map(echo)).toEqual(['Write to [[EMAIL_1]], copy [[EMAIL_2]]']);
  });

  it('keeps scope, tags and the caller’s own objects raw, and its key redacted', async () => {
    const { mailer, llmCache } = await start({ mode: 'pseudonymize' });
    expect(await mailer.keyed(ANN)).toBe(`To ${ANN}`);
    expect(await mailer.keyed('eve@example.com')).toBe('To eve@example.com'); // same tenant, same template
    expect(await mailer.keyed(BEN)).toBe(`To ${BEN}`); // another tenant
    expect(mailer.seen).toHaveLength(2);
    expect(llmCache.keyFor(llmCache.partsOf(mailer, 'keyed', [ANN]))).toBe(llmCache.keyFor(llmCache.partsOf(mailer, 'keyed', ['dan@example.com'])));
    await llmCache.invalidate({ tags: [ANN] });
    await mailer.keyed('eve@example.com');
    expect(mailer.seen).toHaveLength(3);
    await llmCache.invalidate({ key: llmCache.partsOf(mailer, 'keyed', ['dan@example.com']) });
    await mailer.keyed(ANN);
    expect(mailer.seen).toHaveLength(4);
    const frozen = Object.freeze({ to: Object.freeze([ANN]) });
    await mailer.write(frozen);
    expect(frozen).toEqual({ to: [ANN] });
  });

  it('takes a user’s own placeholders literally', async () => {
    const { llm, provider } = await start({ mode: 'pseudonymize' });
    expect(await llm.text('print [[EMAIL_1]]')).toBe('You said: print [[EMAIL_1]]');
    expect(await llm.text(`print [[EMAIL_1]] and [email_1] of ${ANN}`)).toBe(`You said: print [[EMAIL_1]] and [email_1] of ${ANN}`);
    expect(provider.calls.map(echo).join(' ')).not.toMatch(/print \[\[EMAIL_1/);
  });

  it('does not store an answer with a placeholder that nobody gave, or with personal data of its own', async () => {
    const { llm, provider, stored } = await start({ mode: 'pseudonymize' }, {}, 'Ask [[EMAIL_7]]', `Ask ${BEN}`);
    const [unknown, first] = await told((options) => llm.text(`Mail ${ANN}`, {}, options));
    expect([unknown, first.reason]).toEqual(['Ask [[EMAIL_7]]', 'pii']);
    const [own, second] = await told((options) => llm.text(`Mail ${ANN}`, {}, options));
    expect([own, second.reason]).toEqual([`Ask ${BEN}`, 'pii']);
    expect(provider.calls).toHaveLength(2);
    expect(stored()).not.toMatch(/EMAIL_7|ben@/);
  });

  it('restores tool-call arguments as valid JSON, and texts the model altered', async () => {
    const answer: ChatResponse = {
      choices: [{
        finish_reason: 'tool_calls',
        message: { role: 'assistant', content: 'To [email_1] and [[EMAIL\\_1]]', tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'send', arguments: '{"to":"[[EMAIL_1]]"}' } }] },
      }],
    };
    const { llm } = await start({ mode: 'pseudonymize' }, {}, answer);
    for (const address of [ANN, BEN]) {
      const { message } = (await llm.chat(ask(`Mail ${address}`))).choices[0]!;
      expect(message.content).toBe(`To ${address} and ${address}`);
      const [toolCall] = message['tool_calls'] as Array<{ function: { arguments: string } }>;
      expect(JSON.parse(toolCall!.function.arguments)).toEqual({ to: address });
    }
  });

  it('stores an answer of wrap only if it was computed from the input it was handed', async () => {
    const { llmCache, stored } = await start({ mode: 'pseudonymize' });
    const parts = (address: string) => ({ name: 'mail', input: { to: address } });
    let calls = 0;
    const fromHanded = (address: string) => llmCache.wrap(parts(address), ({ input }) => (calls++, `To ${(input as { to: string }).to}`));
    expect([await fromHanded(ANN), await fromHanded(BEN), calls]).toEqual([`To ${ANN}`, `To ${BEN}`, 1]);
    const other = (address: string) => llmCache.wrap({ ...parts(address), name: 'raw' }, () => (calls++, `To ${address}`));
    expect([await other(ANN), await other(BEN), calls]).toEqual([`To ${ANN}`, `To ${BEN}`, 3]);
    const judged = (address: string) => llmCache.wrap({ ...parts(address), name: 'judged' }, () => (address.endsWith('.com') ? 'ours' : 'theirs'));
    expect([await judged(ANN), await judged(BEN)]).toEqual(['ours', 'theirs']); // nothing in these answers shows what they are of
    expect(stored()).not.toContain('example.');
  });
});

describe('redact-stored', () => {
  it('lets the model see the raw text, keeps raw questions apart, and gives everybody the redacted answer', async () => {
    const { llm, provider, stored } = await start({ mode: 'redact-stored' });
    for (let time = 0; time < 2; time++) {
      expect(await llm.text(`Mail ${ANN}`)).toBe('You said: Mail [[EMAIL_1]]');
      expect(await llm.text(`Mail ${BEN}`)).toBe('You said: Mail [[EMAIL_1]]');
    }
    expect(provider.calls.map(echo)).toEqual([`Mail ${ANN}`, `Mail ${BEN}`]);
    expect(stored()).not.toContain('example.');
  });

  it('is the mode of a bare function', async () => {
    const { llm, provider } = await start({ redactor: async (text) => text.replaceAll('Ann', '***') });
    expect(await llm.text('Greet Ann')).toBe('You said: Greet ***');
    expect(await llm.text('Greet Ann')).toBe('You said: Greet ***');
    expect(provider.calls.map(echo)).toEqual(['Greet Ann']);
  });

  it('serves a stream that holds personal data as it is, and does not store it', async () => {
    const { llm, provider, stored } = await start({ mode: 'redact-stored' });
    for (let time = 0; time < 2; time++) expect(textOfChunks(await collected(llm.stream(ask(`Mail ${ANN}`))))).toBe(`You said: Mail ${ANN}`);
    expect(provider.calls).toHaveLength(2);
    expect(stored()).not.toContain('example.');
  });
});

describe('a redactor in trouble', () => {
  const never = new Promise<string>(() => undefined);
  const troubles: Array<[string, (text: string) => unknown]> = [
    ['throws', (text) => { throw new Error(`cannot read ${text}`); }],
    ['rejects', (text) => Promise.reject(new Error(`cannot read ${text}`))],
    ['gives nothing', () => undefined],
    ['gives a number', () => 7],
    ['never answers', () => never],
  ];

  it.each(troubles)('that %s: raw text does not leave where it must not', async (_what, redactor) => {
    const clock = new FakeClock();
    const { llm, mailer, provider, stored } = await start({ mode: 'redact', redactor: redactor as PiiOptions['redactor'] }, { clock });
    const failing: Array<Promise<unknown>> = [llm.chat(ask(`Mail ${ANN}`)), mailer.write(ANN), collected(llm.stream(ask(`Mail ${ANN}`))), collected(mailer.stream(ANN))];
    const errors = Promise.all(failing.map((call) => call.then(() => undefined, (error: unknown) => error)));
    await settled();
    clock.advance('5s');
    for (const error of await errors) {
      expect(PiiRedactionError.isInstance(error)).toBe(true);
      expect(JSON.stringify(error) + (error as Error).stack + String((error as Error).cause)).not.toContain('ann@');
    }
    expect(provider.calls).toHaveLength(0);
    expect(mailer.seen).toHaveLength(0);
    expect(stored()).toBe('[]');
  });

  it.each(troubles)('that %s: the call goes on uncached where raw text may leave', async (_what, redactor) => {
    const clock = new FakeClock();
    const { llm, provider, stored } = await start({ mode: 'bypass', redactor: redactor as PiiOptions['redactor'] }, { clock });
    const asking = told((options) => llm.text(`Mail ${ANN}`, {}, options));
    await settled();
    clock.advance('5s');
    const [text, outcome] = await asking;
    expect(text).toBe(`You said: Mail ${ANN}`);
    expect(outcome).toMatchObject({ status: 'bypass', reason: 'pii-error' });
    expect(provider.calls).toHaveLength(1);
    expect(stored()).toBe('[]');
  });

  it('over an answer: it is served and not stored', async () => {
    const { llm, stored } = await start({ redactor: (text) => { throw new Error(text); } });
    const [text, outcome] = await told((options) => llm.text('Hello', {}, options));
    expect([text, outcome.reason]).toEqual(['You said: Hello', 'pii-error']);
    expect(stored()).not.toContain('Hello');
  });

  it('in a batch: the row carries the error, the others go on', async () => {
    const detector = { id: 'picky', version: '1', detect: (text: string) => { if (text.includes('bad')) throw new Error(text); return []; } };
    const { llm } = await start({ mode: 'redact', detectors: [detector] });
    const items = await all(llm.batch(['a', 'bad', 'b'].map((text) => ask(text))));
    expect(items.map(({ error }) => error?.name)).toEqual([undefined, 'PiiRedactionError', undefined]);
    expect(items[1]!.outcome).toMatchObject({ status: 'bypass', reason: 'pii-error' });
  });
});

describe('overrides', () => {
  it('of a method and of a call go before the module’s, and false switches off', async () => {
    const { llm, mailer, provider } = await start({ mode: 'pseudonymize' });
    await mailer.plain(ANN);
    await mailer.careful(ANN);
    expect(mailer.seen).toEqual([[ANN], [ANN]]);
    await llm.chat(ask(`Mail ${ANN}`), { pii: false });
    const [, outcome] = await told((options) => llm.chat(ask(`Mail ${ANN}`), { ...options, pii: { mode: 'bypass' } }));
    expect(outcome.reason).toBe('pii');
    expect(provider.calls.map(echo)).toEqual([`Mail ${ANN}`, `Mail ${ANN}`]);
  });

  it('without the module’s', async () => {
    const { llm, provider } = await start(undefined);
    expect(content(await llm.chat(ask(`Mail ${ANN}`), { pii: { mode: 'pseudonymize' } }))).toBe(`You said: Mail ${ANN}`);
    expect(provider.calls.map(echo)).toEqual(['Mail [[EMAIL_1]]']);
  });

  it('that do not go together are refused', async () => {
    await expect(start({ mode: 'pseudonymize', redactor: (text) => text })).rejects.toThrow('"pii.mode"');
    await expect(start({ redactor: (text) => text, entities: ['IP'] })).rejects.toThrow('"pii.entities"');
    const { llm } = await start({ redactor: (text) => text });
    await expect(llm.chat(ask('a'), { pii: { mode: 'pseudonymize' } })).rejects.toThrow(LlmCacheConfigError);
  });
});

describe('the key', () => {
  it('changes with the redactor, its version, the mode and the entities', async () => {
    const { llm, llmCache } = await start(undefined);
    const parts = llm.partsOf(ask('Hello'));
    const detector = (version: string) => ({ id: 'names', version, detect: () => [] });
    const settings: Array<PiiOptions | false> = [
      false, {}, { entities: ['IP'] }, { mode: 'redact' }, { mode: 'pseudonymize' }, { mode: 'redact-stored' }, { onResponsePii: 'redact' },
      { detectors: [detector('1')] }, { detectors: [detector('2')] }, { redactor: (text) => text }, { redactor: (text) => text.trim() },
    ];
    expect(new Set(settings.map((pii) => llmCache.keyFor(parts, { pii }))).size).toBe(settings.length);
  });

  it('is refused where the call would bypass, and needs keyForAsync where the redactor takes its time', async () => {
    const { llm, llmCache } = await start({});
    expect(() => llmCache.keyFor(llm.partsOf(ask(`Mail ${ANN}`)))).toThrow(UncacheableInputError);
    await expect(llmCache.keyForAsync(llm.partsOf(ask(`Mail ${ANN}`)))).rejects.toThrow(/personal data/);
    const slow: PiiOptions = { mode: 'redact', redactor: async (text) => text.toUpperCase() };
    expect(() => llmCache.keyFor(llm.partsOf(ask('Hello')), { pii: slow })).toThrow(/keyForAsync/);
    const key = await llmCache.keyForAsync(llm.partsOf(ask('Hello')), { pii: slow });
    const [, outcome] = await told((options) => llm.chat(ask('hello'), { ...options, pii: slow }));
    expect(outcome.key).toBe(key);
  });
});

describe('cache control', () => {
  it('works with personal data as ever', async () => {
    const { llm, provider } = await start({ mode: 'pseudonymize' });
    await llm.text(`Mail ${ANN}`);
    await withCacheControl({ noCache: true }, () => llm.text(`Mail ${BEN}`));
    expect(provider.calls).toHaveLength(2);
    await expect(llm.text(`Call ${BEN}`, {}, { onlyIfCached: true })).rejects.toThrow(/No stored answer/);
  });
});
