import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, jest } from '@jest/globals';
import { Injectable, type Type } from '@nestjs/common';
import { ContextIdFactory } from '@nestjs/core';
import { TerminusModule } from '@nestjs/terminus';
import { Test, type TestingModule } from '@nestjs/testing';
import { Keyv } from 'keyv';
import { ClsService } from 'nestjs-cls';
import { attachLlmCache, CacheLlm, type CacheOutcome, type KeyDifference, LlmCache, LlmCacheModule, type LlmCacheOptions, type LlmProvider, LlmService, type PiiOptions, withCacheControl } from 'nestjs-llm-cache';
import { FakeLlmProvider, LlmCacheTestingModule, type LlmCacheTestingOptions } from 'nestjs-llm-cache/testing';
import { opened } from '../fixtures/apps.js';
import { deferred, settled } from '../fixtures/deferred.js';
import { collect } from '../fixtures/streams.js';
import { blocksOf, writeBlocks } from './documentation.js';

// The code of the pages, run. Tests that a page shows are run by docs.spec.ts, the recipes by recipes.spec.ts.

const blocks = blocksOf().filter(({ page, file }) => !page.startsWith('docs/recipes/') && !file.endsWith('.spec.ts'));
const folder = writeBlocks(blocks, 'examples');
const run = new Set<string>();

/** What a block of the pages exports. */
async function shown<T>(file: string): Promise<T> {
  run.add(file);
  return (await import(join(folder, file))) as T;
}

@Injectable()
class Unused {}

async function start<T = Unused>(service: Type<T> | undefined, options: LlmCacheTestingOptions = {}): Promise<{ moduleRef: TestingModule; service: T; llmCache: LlmCache; llm: LlmService; provider: FakeLlmProvider }> {
  const provider = (options.provider ?? new FakeLlmProvider()) as FakeLlmProvider;
  const token = (service ?? Unused) as Type<T>;
  const moduleRef = await Test.createTestingModule({ imports: [LlmCacheTestingModule.forRoot({ ...options, provider })], providers: [token] }).compile();
  opened(moduleRef);
  return { moduleRef, service: moduleRef.get(token), llmCache: moduleRef.get(LlmCache), llm: moduleRef.get(LlmService), provider };
}

interface Tickets {
  summary(ticket: string): Promise<string>;
}
const ticketsService = async (): Promise<Type<Tickets>> => (await shown<{ TicketsService: Type<Tickets> }>('tickets.service.ts')).TicketsService;
const lastText = ({ messages }: { messages: Array<{ content?: unknown }> }): unknown => messages.at(-1)?.content;

describe("the README's", () => {
  it('app runs, and its control does what the comments say', async () => {
    const { AppModule } = await shown<{ AppModule: Type<unknown> }>('app.module.ts');
    const { examples } = await shown<{ examples: (tickets: Tickets, ticket: string) => Promise<void> }>('control.ts');
    const provider = new FakeLlmProvider('a summary');
    const app = await Test.createTestingModule({ imports: [AppModule] })
      .overrideModule(LlmCacheModule)
      .useModule(LlmCacheTestingModule.forRoot({ provider }))
      .compile();
    opened(app);
    await examples(app.get<Tickets>(await ticketsService()), 'a ticket');
    expect(provider.calls.map(({ model, temperature }) => [model, temperature])).toEqual([
      ['gpt-4o-mini', 0], // noCache
      ['gpt-4o-mini', 0], // sample
    ]);
  });

  it('batch prints an answer for each request', async () => {
    const { labelAll } = await shown<{ labelAll: (llm: LlmService, requests: AsyncIterable<object>) => Promise<void> }>('label-all.ts');
    const { llm } = await start(undefined);
    const printed: unknown[][] = [];
    const log = jest.spyOn(console, 'log').mockImplementation((...words) => void printed.push(words));
    await labelAll(llm, (async function* () { yield { messages: [{ role: 'user', content: 'a' }] }; })());
    log.mockRestore();
    expect(printed).toEqual([[0, 'Answer to: a']]);
  });

  it('invalidation removes the answer each time', async () => {
    const { examples } = await shown<{ examples: (llmCache: LlmCache, tickets: Tickets, ticket: string) => Promise<void> }>('invalidation.ts');
    const { service, llmCache, provider } = await start(await ticketsService());
    for (const call of ['invalidate', 'clear'] as const) {
      const removed: unknown[] = [];
      const original = llmCache[call].bind(llmCache) as (target?: unknown) => Promise<void>;
      llmCache[call] = async (target?: unknown) => {
        await service.summary('a ticket');
        removed.push(target);
        await original(target);
      };
    }
    await examples(llmCache, service, 'a ticket');
    await service.summary('a ticket');
    // Removed by name, and by clear: asked anew. No tag or scope matched. By key the method ran again, on the stored inner answer.
    expect(provider.calls).toHaveLength(3);
    expect(llmCache.stats()).toMatchObject({ stored: 7 });
  });

  it('app on CACHE_MANAGER keeps its answers there', async () => {
    const previous = process.cwd();
    const temporary = mkdtempSync(join(tmpdir(), 'docs-'));
    process.chdir(temporary);
    try {
      const { WithCacheManagerModule } = await shown<{ WithCacheManagerModule: Type<unknown> }>('with-cache-manager.module.ts');
      const moduleRef = await Test.createTestingModule({ imports: [WithCacheManagerModule] }).compile();
      const llmCache = moduleRef.get(LlmCache, { strict: false });
      for (let time = 0; time < 2; time++) await llmCache.wrap({ name: 'ask', input: 1 }, () => 'Tokyo.');
      expect(llmCache.stats().tiers.map(({ name, entries }) => [name, entries! > 0])).toEqual([['memory', true], ['sqlite', true]]);
      expect(llmCache.stats().hits).toBe(1);
      await moduleRef.close();
    } finally {
      process.chdir(previous);
      rmSync(temporary, { recursive: true });
    }
  });
});

describe('the page on', () => {
  it('keys: an option that stands for the arguments', async () => {
    const { JobsService } = await shown<{ JobsService: Type<{ run(job: object): Promise<string> }> }>('key-option.ts');
    const { service, llmCache } = await start(JobsService);
    for (const id of ['1', '2']) await service.run({ id, text: 'a', onProgress: () => undefined });
    expect(llmCache.stats()).toMatchObject({ hits: 1, misses: 1, bypassed: 0 });
  });

  it('keys: why did it miss?', async () => {
    const { whyMiss } = await shown<{ whyMiss: (llmCache: LlmCache, service: object) => KeyDifference[] }>('explain.ts');
    const { service, llmCache } = await start(await ticketsService());
    expect(whyMiss(llmCache, service)).toEqual([{ path: 'input[0]', kind: 'value' }]);
  });

  it('the gate: a filter of your own', async () => {
    const { TriageService } = await shown<{ TriageService: Type<{ triage(ticket: string): Promise<unknown> }> }>('cacheable.ts');
    const { service, llmCache } = await start(TriageService);
    for (const ticket of ['', '', 'a', 'a']) await service.triage(ticket);
    expect(llmCache.stats()).toMatchObject({ misses: 3, hits: 1, refused: 2, stored: 1 });
  });

  it('the gate: an answer by another model', async () => {
    const { options } = await shown<{ options: LlmCacheOptions }>('only-the-model-asked-for.ts');
    const llmCache = new LlmCache(options);
    const stored: string[] = [];
    llmCache.on((event) => 'outcome' in event && event.outcome.stored && stored.push(event.name));
    const choices = [{ finish_reason: 'stop', message: { role: 'assistant', content: 'Tokyo.' } }];
    for (const model of ['gpt-4o', 'gpt-4o-2024-08-06', 'gpt-4o:latest', 'gpt-4o-mini', 'gpt-4']) {
      await llmCache.wrap({ name: model, input: 1 }, () => ({ model, choices }));
    }
    await llmCache.wrap({ name: 'no model', input: 1 }, () => 'Tokyo.');
    expect(stored).toEqual(['gpt-4o', 'gpt-4o-2024-08-06', 'gpt-4o:latest', 'no model']);
  });

  it('single-flight: a signal as an argument', async () => {
    const { AbortableService } = await shown<{ AbortableService: Type<{ translate(text: string, options?: object): Promise<string> }> }>('abortable.service.ts');
    const answered = deferred<string>();
    const { service, provider } = await start(AbortableService, { provider: new FakeLlmProvider(() => answered.promise) });
    const leaver = new AbortController();
    const leaving = service.translate('hello', { signal: leaver.signal }).catch((error: Error) => error.message);
    const staying = service.translate('hello');
    await settled();
    leaver.abort(new Error('gone'));
    expect(await leaving).toBe('gone');
    answered.resolve('bonjour');
    expect(await staying).toBe('bonjour');
    expect(provider.calls).toHaveLength(1);
  });

  it('control: three ways to say it', async () => {
    const { examples } = await shown<{ examples: (llmCache: LlmCache, llm: LlmService, tickets: Tickets) => Promise<string[]> }>('control-three-ways.ts');
    const { service, llmCache, llm } = await start(await ticketsService());
    expect(await examples(llmCache, llm, service)).toEqual([expect.stringContaining('a ticket'), expect.stringContaining('Japan'), 'Tokyo.']);
    await examples(llmCache, llm, service);
    expect(llmCache.stats()).toMatchObject({ hits: 2, stored: 6 }); // the method and its inner call twice, by noCache
  });

  it('control: a middleware', async () => {
    const { CacheControlMiddleware } = await shown<{ CacheControlMiddleware: new () => { use(request: object, response: unknown, next: () => void): void } }>('cache-control.middleware.ts');
    const { service, provider } = await start(await ticketsService());
    const ask = (header?: string): Promise<string> =>
      new Promise((resolve, reject) =>
        new CacheControlMiddleware().use({ headers: { 'cache-control': header } }, undefined, () => void service.summary('a ticket').then(resolve, reject)),
      );
    for (const header of [undefined, undefined, 'no-cache', 'no-store', 'max-age=0, no-cache']) await ask(header);
    expect(provider.calls).toHaveLength(3);
  });

  it('control: several answers to one question', async () => {
    const { examples } = await shown<{ examples: (llm: LlmService, samples: number) => Promise<string[]> }>('samples.ts');
    const { llm, provider } = await start(undefined, { provider: new FakeLlmProvider('red', 'green', 'blue', 'grey') });
    const colours = await examples(llm, 3);
    expect(colours.toSorted()).toEqual(['blue', 'green', 'red']);
    expect(await examples(llm, 3)).toEqual(colours);
    expect(provider.calls).toHaveLength(3);
  });

  it('invalidation: tags', async () => {
    interface Invoices {
      explain(customer: string, invoice: string): Promise<string>;
      customerChanged(customer: string): Promise<void>;
    }
    const { InvoicesService } = await shown<{ InvoicesService: Type<Invoices> }>('invoices.ts');
    const { service, provider } = await start(InvoicesService);
    const ask = async (): Promise<number> => {
      for (const customer of ['a', 'b']) await service.explain(customer, `of ${customer}`);
      return provider.calls.length;
    };
    expect(await ask()).toBe(2);
    expect(await ask()).toBe(2);
    await service.customerChanged('a');
    expect(await ask()).toBe(3);
  });

  it('invalidation: by key the inner answer stays', async () => {
    const { service, llmCache, provider } = await start(await ticketsService());
    const outcomes: CacheOutcome[] = [];
    await service.summary('a ticket');
    await llmCache.invalidate({ key: llmCache.partsOf(service, 'summary', ['a ticket']) });
    await withCacheControl({ onOutcome: (outcome) => outcomes.push(outcome) }, () => service.summary('a ticket'));
    expect(outcomes.map(({ name, status }) => [name, status])).toEqual([['fake', 'hit'], ['TicketsService.summary', 'miss']]);
    await llmCache.invalidate({ name: 'TicketsService.summary' });
    await service.summary('a ticket');
    expect(provider.calls).toHaveLength(2);
  });

  it('scope: a resolver, and none', async () => {
    const { TenantsModule, currentTenant } = await shown<{ TenantsModule: Type<unknown>; currentTenant: { run<T>(tenant: string, run: () => T): T } }>('tenants.module.ts');
    const moduleRef = await Test.createTestingModule({ imports: [TenantsModule] }).compile();
    opened(moduleRef);
    const llmCache = moduleRef.get(LlmCache, { strict: false });
    let asked = 0;
    const ask = (): Promise<number> => llmCache.wrap({ name: 'ask', input: 1 }, () => ++asked);
    expect(await currentTenant.run('a', ask)).toBe(1);
    expect(await currentTenant.run('a', ask)).toBe(1);
    expect(await currentTenant.run('b', ask)).toBe(2);
    expect([await ask(), await ask()]).toEqual([3, 4]);
    expect(llmCache.stats()).toMatchObject({ bypassed: 2 });
    await llmCache.invalidate({ scope: 'a' });
    expect([await currentTenant.run('b', ask), await currentTenant.run('a', ask)]).toEqual([2, 5]);
  });

  it('scope: nestjs-cls, and a provider of the REQUEST scope', async () => {
    const { ClsTenantsModule } = await shown<{ ClsTenantsModule: Type<unknown> }>('cls-tenants.module.ts');
    const moduleRef = opened(await Test.createTestingModule({ imports: [ClsTenantsModule] }).compile());
    const [cls, llmCache] = [moduleRef.get(ClsService, { strict: false }), moduleRef.get(LlmCache, { strict: false })];
    let asked = 0;
    const ask = (tenant: string | undefined): Promise<number> =>
      cls.run(() => {
        cls.set('tenant', tenant);
        return llmCache.wrap({ name: 'ask', input: 1 }, () => ++asked);
      });
    expect([await ask('a'), await ask('b'), await ask('a'), await ask(undefined), await ask(undefined)]).toEqual([1, 2, 1, 3, 4]);

    const { TenantTicketsService } = await shown<{ TenantTicketsService: Type<Tickets & { tenant: string | undefined }> }>('tenant-tickets.service.ts');
    const provider = new FakeLlmProvider();
    const requests = opened(await Test.createTestingModule({ imports: [LlmCacheTestingModule.forRoot({ provider })], providers: [TenantTicketsService] }).compile());
    for (const tenant of ['a', 'b', 'a']) {
      const contextId = ContextIdFactory.create();
      requests.registerRequestByContextId({ user: { tenant } }, contextId);
      const service = await requests.resolve(TenantTicketsService, contextId);
      expect(service.tenant).toBe(tenant);
      await service.summary('a ticket');
    }
    expect(provider.calls).toHaveLength(2);
  });

  it('encryption: a module with a secret and a key', async () => {
    const folderOfStore = mkdtempSync(join(tmpdir(), 'llm-cache-'));
    const path = join(folderOfStore, 'cache.db');
    const key = (): string => randomBytes(32).toString('base64');
    Object.assign(process.env, { LLM_CACHE_PATH: path, LLM_CACHE_SECRET: key(), LLM_CACHE_KEY_2026_01: key() });
    const { PrivateModule } = await shown<{ PrivateModule: Type<unknown> }>('private.module.ts');
    const ask = async (answer: string): Promise<string> => {
      const app = await Test.createTestingModule({ imports: [PrivateModule] }).compile();
      const given = await app.get(LlmCache, { strict: false }).wrap({ name: 'ask', input: 'a private question' }, () => answer);
      await app.close();
      return given;
    };
    expect([await ask('a private answer'), await ask('never')]).toEqual(['a private answer', 'a private answer']);
    const bytes = readFileSync(path, 'latin1');
    expect(bytes).toContain('llm-cache/e1 2026-01 ');
    expect(bytes).not.toContain('private answer');
    delete process.env['LLM_CACHE_SECRET'];
    await expect(Test.createTestingModule({ imports: [PrivateModule] }).compile()).rejects.toThrow('LLM_CACHE_SECRET');
    rmSync(folderOfStore, { recursive: true });
  });

  it('LlmService: text and chat', async () => {
    interface Capitals {
      capital(country: string): Promise<string>;
      answer(country: string): Promise<{ choices: unknown[] }>;
    }
    const { CapitalsService } = await shown<{ CapitalsService: Type<Capitals> }>('capitals.service.ts');
    const { service, provider } = await start(CapitalsService);
    for (let time = 0; time < 2; time++) {
      expect(await service.capital('Japan')).toContain('capital of Japan');
      expect((await service.answer('Japan')).choices).toHaveLength(1);
    }
    expect(provider.calls.map(lastText)).toEqual(['What is the capital of Japan?', 'Tell me about Japan.']);
  });

  it('LlmService: an LlmProvider of your own', async () => {
    const { GatewayProvider } = await shown<{ GatewayProvider: new (url: string) => LlmProvider }>('gateway.provider.ts');
    const statuses = [200, 500];
    const server = createServer((_request, response) => {
      const status = statuses.shift()!;
      response.writeHead(status).end(JSON.stringify({ choices: [{ finish_reason: 'stop', message: { role: 'assistant', content: 'Tokyo.' } }] }));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { llm } = await start(undefined, { provider: new GatewayProvider(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) });
      for (let time = 0; time < 2; time++) expect(await llm.text('Japan?')).toBe('Tokyo.');
      await expect(llm.text('France?')).rejects.toThrow('The gateway answered 500');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('the decorator: options', async () => {
    interface Reports {
      language: string;
      digest(report: { id: string; text: string }): Promise<string>;
    }
    const { ReportsService } = await shown<{ ReportsService: Type<Reports> }>('reports.service.ts');
    const { service, llmCache, provider } = await start(ReportsService);
    for (const id of ['1', '2']) await service.digest({ id, text: 'a' });
    service.language = 'French';
    await service.digest({ id: '1', text: 'a' });
    expect(provider.calls.map(lastText)).toEqual(['Digest this report in English: a', 'Digest this report in French: a']);
    await llmCache.invalidate({ tags: ['report:1'] });
    await service.digest({ id: '3', text: 'a' });
    expect(provider.calls).toHaveLength(3);
  });

  it('the decorator: LlmCache.wrap instead', async () => {
    const { GlossaryService } = await shown<{ GlossaryService: Type<{ explain(term: string, client: object): Promise<string> }> }>('glossary.service.ts');
    const { service } = await start(GlossaryService);
    let asked = 0;
    const client = { explain: async (term: string, signal: AbortSignal) => `${term} ${++asked} ${signal.aborted}` };
    for (let time = 0; time < 2; time++) expect(await service.explain('LLM', client)).toBe('LLM 1 false');
  });

  it('errors: a stored answer or nothing', async () => {
    const { examples } = await shown<{ examples: (llm: LlmService, prompt: string) => Promise<string | undefined> }>('only-if-cached.ts');
    const { llm, provider } = await start(undefined);
    expect(await examples(llm, 'Japan?')).toBeUndefined();
    const answer = await llm.text('Japan?');
    expect(await examples(llm, 'Japan?')).toBe(answer);
    expect(provider.calls).toHaveLength(1);
  });

  it('observability: a health check', async () => {
    const { HealthController } = await shown<{ HealthController: Type<{ check(): Promise<unknown> }> }>('health.controller.ts');
    const imports = [LlmCacheTestingModule.forRoot(), TerminusModule];
    const moduleRef = opened(await Test.createTestingModule({ imports, controllers: [HealthController] }).compile());
    const up = { llmCache: expect.objectContaining({ status: 'up', degraded: false }) };
    expect(await moduleRef.get(HealthController).check()).toEqual({ status: 'ok', info: up, error: {}, details: up });
  });

  it('observability: a listener', async () => {
    const { examples } = await shown<{ examples: (llmCache: LlmCache, count: (name: string, status: string) => void) => () => void }>('metrics.ts');
    const { llmCache } = await start(undefined);
    const counted: string[] = [];
    const stop = examples(llmCache, (name, status) => counted.push(`${name} ${status}`));
    const ask = (): Promise<string> => llmCache.wrap({ name: 'ask', input: 1 }, () => 'Tokyo.');
    await ask();
    await ask();
    stop();
    await ask();
    expect(counted).toEqual(['ask miss', 'ask hit']);
  });
});

describe('the page on streams, and the README,', () => {
  interface Replying {
    reply(ticket: string): AsyncIterable<string>;
  }

  it.each([['replies.service.ts', 'RepliesService'], ['replies.ts', 'Replies']])('%s: an async generator, joined and replayed', async (file, name) => {
    const { [name]: Service } = await shown<Record<string, Type<Replying>>>(file);
    const { service, provider } = await start(Service, { provider: new FakeLlmProvider('It is on its way.') });
    const [first, second] = await Promise.all([collect(service.reply('a')), collect(service.reply('a'))]);
    expect(first.join('')).toBe('It is on its way.');
    expect(first.length).toBeGreaterThan(5);
    expect([second, await collect(service.reply('a'))]).toEqual([first, first]);
    expect(provider.calls).toHaveLength(1);
  });

  it('@Sse() and ReadableStream', async () => {
    const { StoriesController } = await shown<{ StoriesController: Type<{ pages(count: number): ReadableStream<string> }> }>('stories.controller.ts');
    const provider = new FakeLlmProvider('Once upon a time.');
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheTestingModule.forRoot({ provider })], controllers: [StoriesController] }).compile();
    const app = opened(moduleRef.createNestApplication({ logger: false }));
    await app.listen(0, '127.0.0.1');
    const get = async (): Promise<string> => (await fetch(`${await app.getUrl()}/stories?about=owls`)).text();
    const first = await get();
    expect(first.match(/"content":"[^"]*"/g)!.join('')).toBe('"content":"Once""content":" upon""content":" a""content":" time."');
    expect(await get()).toBe(first);
    expect(provider.calls).toHaveLength(1);
    const service = moduleRef.get<{ pages(count: number): ReadableStream<string> }>(StoriesController);
    for (let time = 0; time < 2; time++) expect(await collect(service.pages(2))).toEqual(['page 1', 'page 2']);
    expect(moduleRef.get(LlmCache).stats()).toMatchObject({ hits: 2 });
  });

  it('wrapStream and LlmService.stream', async () => {
    const { examples } = await shown<{ examples: (llmCache: LlmCache, llm: LlmService, client: object) => Promise<string> }>('streams-without-decorator.ts');
    const { llmCache, llm, provider } = await start(undefined, { provider: new FakeLlmProvider('Tokyo.') });
    let asked = 0;
    const client = {
      async *words() {
        yield `A model ${++asked}. `;
      },
    };
    for (let time = 0; time < 2; time++) expect(await examples(llmCache, llm, client)).toBe('A model 1. Tokyo.');
    expect(await llm.text('Japan?')).toBe('Tokyo.');
    expect(provider.calls).toHaveLength(1);
  });
});

describe('the page on privacy:', () => {
  interface Letters {
    reply(letter: string): Promise<string>;
    orders(email: string): Promise<string>;
  }
  type Examples = (llmCache: LlmCache, llm: LlmService, client: object, letter: string) => Promise<string[]>;
  const letterOf = (customer: string): string => `I am ${customer}@example.com, call me at 020 7946 0958.`;
  /** Says what it was asked, as a model that copies does. */
  const echo = (request: object): string => `You say: ${String(lastText(request as { messages: Array<{ content?: unknown }> }))}`;

  it('the shortest module, and a method of two callers', async () => {
    const { PrivateAppModule } = await shown<{ PrivateAppModule: Type<unknown> }>('private-app.module.ts');
    const { LettersService } = await shown<{ LettersService: Type<Letters> }>('letters.service.ts');
    const provider = new FakeLlmProvider(echo);
    const moduleRef = await Test.createTestingModule({ imports: [PrivateAppModule] }).compile();
    opened(moduleRef);
    const llmCache = moduleRef.get(LlmCache, { strict: false });
    const letters = attachLlmCache(new LettersService(new LlmService(llmCache, provider)), llmCache);
    for (const customer of ['jo', 'al']) expect(await letters.reply(letterOf(customer))).toBe(`You say: ${letterOf(customer)}`);
    expect(provider.calls.map(lastText)).toEqual(['I am [[EMAIL_1]], call me at [[PHONE_1]].']);
    expect(provider.calls[0]!.messages[0]!.content).toBe('Answer the letter. Copy tokens such as [[EMAIL_1]] as they are.');
    for (let time = 0; time < 2; time++) expect(await letters.orders('jo@example.com')).toBe('orders of jo@example.com');
    expect(llmCache.stats()).toMatchObject({ bypassed: 2 });
  });

  it('wrap, and what a call says itself', async () => {
    const { examples } = await shown<{ examples: Examples }>('letters.service.ts');
    const { llmCache, llm, provider } = await start(undefined, { pii: { mode: 'pseudonymize' }, provider: new FakeLlmProvider(echo) });
    const asked: unknown[] = [];
    const client = { ask: async (letter: unknown) => `You say: ${String(asked[asked.push(letter) - 1])}` };
    for (const customer of ['jo', 'al']) {
      expect(await examples(llmCache, llm, client, letterOf(customer))).toEqual(Array.from({ length: 3 }, () => `You say: ${letterOf(customer)}`));
    }
    const template = 'I am [[EMAIL_1]], call me at [[PHONE_1]].';
    expect(asked).toEqual([template]);
    expect(provider.calls.map(lastText)).toEqual([template, letterOf('jo'), letterOf('al')]);
  });

  it('a detector from the container, that counts as Python does', async () => {
    const text = '\u{1F600} Anna is here.';
    const asked: unknown[] = [];
    const server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (piece: string) => (body += piece)).on('end', () => {
        const question = JSON.parse(body) as { text: string };
        asked.push(question);
        const at = Array.from(question.text).indexOf('A');
        response.end(JSON.stringify(at < 0 ? [] : [{ start: at, end: at + 4, entity_type: 'PERSON', score: 0.85 }]));
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    process.env['PRESIDIO_URL'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const { WithPresidioModule } = await shown<{ WithPresidioModule: Type<unknown> }>('presidio.module.ts');
      const moduleRef = await Test.createTestingModule({ imports: [WithPresidioModule] }).compile();
      opened(moduleRef);
      const seen: unknown[] = [];
      const ask = (input: string): Promise<unknown> =>
        moduleRef.get(LlmCache, { strict: false }).wrap({ name: 'ask', input }, (call) => seen[seen.push(call.input) - 1]);
      expect(await ask(text)).toBe(text);
      expect(seen).toEqual(['\u{1F600} [[PERSON_1]] is here.']);
      expect(asked).toContainEqual({ text, language: 'en', entities: ['PERSON', 'LOCATION'], score_threshold: 0.5 });
    } finally {
      delete process.env['PRESIDIO_URL'];
      server.closeAllConnections();
      server.close();
    }
  });

  it('a redactor that only judges', async () => {
    const { classified } = await shown<{ classified: (isPersonal: (text: string) => Promise<boolean>) => PiiOptions }>('classifier.redactor.ts');
    const { llm, llmCache } = await start(undefined, { pii: classified(async (text) => text.includes('Anna')) });
    for (const question of ['Who is Anna?', 'Who is she?', 'Who is Anna?', 'Who is she?']) await llm.text(question);
    expect(llmCache.stats()).toMatchObject({ bypassed: 2, hits: 1, stored: 1 });
  });
});

/** Facts that the pages state in words. */
describe('what the pages say of', () => {
  it('streams: a promise of one is served, and not stored', async () => {
    const llmCache = new LlmCache();
    const outcomes: CacheOutcome[] = [];
    const ask = (): Promise<AsyncIterable<string>> =>
      llmCache.wrap({ name: 'ask', input: 1 }, async () => (async function* () { yield 'Tokyo.'; })(), { onOutcome: (outcome) => outcomes.push(outcome) });
    for (let time = 0; time < 2; time++) expect(await collect(await ask())).toEqual(['Tokyo.']);
    expect(outcomes.map(({ status, reason }) => [status, reason])).toEqual([['miss', 'unstorable'], ['miss', 'unstorable']]);
  });

  it('streams: onAbandon, for the next who asks', async () => {
    for (const [onAbandon, statuses] of [['abort', ['miss', 'miss']], ['finish', ['miss', 'hit']]] as const) {
      const { llm, llmCache } = await start(undefined, { onAbandon, provider: new FakeLlmProvider('one two three') });
      const seen: string[] = [];
      llmCache.on((event) => 'outcome' in event && seen.push(event.type));
      const request = { messages: [{ role: 'user', content: 'Count.' }] };
      const reader = llm.stream(request)[Symbol.asyncIterator]();
      await reader.next();
      await reader.return!();
      await settled();
      await collect(llm.stream(request));
      expect(seen).toEqual(statuses);
    }
  });

  it('batches: labels in order, repeats asked once', async () => {
    const { classify } = await shown<{ classify: (llm: LlmService, texts: string[]) => Promise<string[]> }>('classify-tickets.ts');
    const { llm, provider } = await start(undefined, { provider: new FakeLlmProvider((request) => (String(lastText(request)).endsWith('bad') ? new Error('no') : String(lastText(request)).slice(-1))) });
    expect(await classify(llm, ['a', 'b', 'bad', 'a'])).toEqual(['a', 'b', 'failed: no', 'a']);
    expect(provider.calls).toHaveLength(3);
  });

  it('batches: a file of lines, written as they are answered, and again from the store', async () => {
    const { runFile } = await shown<{ runFile: (llm: LlmService, from: string, to: string) => Promise<void> }>('run-batch-file.ts');
    const { llm, provider } = await start(undefined);
    const [from, to] = [join(folder, 'in.jsonl'), join(folder, 'out.jsonl')];
    const lines = Array.from({ length: 300 }, (_, index) => ({ custom_id: `row-${index}`, body: { messages: [{ role: 'user', content: `question ${index % 100}` }] } }));
    writeFileSync(from, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    for (let time = 0; time < 2; time++) {
      await runFile(llm, from, to);
      const written = readFileSync(to, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as { custom_id: string; response: { choices: Array<{ message: { content: string } }> } });
      expect(written.map(({ custom_id, response }) => [custom_id, response.choices[0]!.message.content])).toEqual(
        lines.map(({ custom_id, body }) => [custom_id, `Answer to: ${body.messages[0]!.content}`]),
      );
    }
    expect(provider.calls).toHaveLength(100);
  });

  it('the scope of a decorator: a call inside is of the same tenant', async () => {
    @Injectable()
    class Scoped {
      constructor(readonly llm: LlmService) {}

      @CacheLlm({ scope: (tenant: string) => tenant, key: (_tenant: string) => 'same' })
      async ask(_tenant: string): Promise<string> {
        return this.llm.text('the same request');
      }
    }
    const { service, llmCache, provider } = await start(Scoped);
    await service.ask('a');
    await service.ask('b');
    await service.ask('a');
    expect(llmCache.stats()).toMatchObject({ misses: 4, hits: 1 });
    expect(provider.calls).toHaveLength(2);
  });

  it('the body that changed: a wrapper below @CacheLlm hides it', async () => {
    type Method = (...args: unknown[]) => Promise<string>;
    const Logged = (): MethodDecorator => (_target, _property, descriptor) => {
      const { value } = descriptor as { value?: unknown };
      descriptor.value = function (this: unknown, ...args: unknown[]) {
        return Reflect.apply(value as Method, this, args);
      } as never;
    };
    const release = (shorten: Method, ...below: MethodDecorator[]): Type<Tickets> => {
      class TicketsService implements Tickets {
        declare summary: Tickets['summary'];
      }
      const descriptor = { value: shorten, writable: true, configurable: true };
      for (const decorate of below) decorate(TicketsService.prototype, 'summary', descriptor);
      (CacheLlm({ returns: 'promise' }) as MethodDecorator)(TicketsService.prototype, 'summary', descriptor);
      Object.defineProperty(TicketsService.prototype, 'summary', descriptor);
      return TicketsService;
    };
    const warningsOf = async (...below: MethodDecorator[]): Promise<string[]> => {
      const stores = new Keyv();
      const warnings: string[] = [];
      for (const shorten of [async () => 'one sentence', async () => 'two sentences']) {
        const { service, llmCache } = await start(release(shorten, ...below), { stores });
        llmCache.on((event) => event.type === 'warning' && warnings.push(event.message));
        expect(await service.summary('a ticket')).toBe('one sentence');
      }
      return warnings;
    };
    expect(await warningsOf()).toEqual([expect.stringContaining('the body of TicketsService.summary changed since these entries were written')]);
    expect(await warningsOf(Logged())).toEqual([]);
  });

  it('versions: going back finds the old entries, an invalidation does not', async () => {
    const llmCache = new LlmCache();
    let asked = 0;
    const ask = (version: number): Promise<number> => llmCache.wrap({ name: 'ask', input: 1, version }, () => ++asked);
    expect([await ask(1), await ask(2), await ask(1)]).toEqual([1, 2, 1]);
    await llmCache.invalidate({ name: 'ask' });
    expect(await ask(1)).toBe(3);
  });

  it('wrong control: the call runs uncached, and one warning names the field', async () => {
    const llmCache = new LlmCache();
    const warnings: string[] = [];
    llmCache.on((event) => event.type === 'warning' && warnings.push(event.message));
    for (let time = 0; time < 2; time++) await llmCache.wrap({ name: 'ask', input: 1 }, () => 1, { ttl: 'soon' as never });
    expect(llmCache.stats()).toMatchObject({ bypassed: 2 });
    expect(warnings).toEqual([expect.stringContaining('"ttl"')]);
  });
});

/** Pages about servers, files and versions: what they show is compiled, and their subjects have specs of their own. */
const COMPILED_ONLY = /^docs\/(?:stores|sqlite|redis|compatibility|fleet|several-processes)\.md$/;

it('every other block of the pages has been run', () => {
  expect(blocks.filter(({ page, file }) => !COMPILED_ONLY.test(page) && !run.has(file)).map(({ file }) => file)).toEqual([]);
});
