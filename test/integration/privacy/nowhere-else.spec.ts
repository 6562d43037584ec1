import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, describe, expect, it } from '@jest/globals';
import { Injectable, Logger, type LoggerService } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { CacheLlm, type ChatRequest, LlmCache, LlmCacheModule, LlmService, memoryStore, type PiiMode } from 'nestjs-llm-cache';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import { FakeLlmProvider } from 'nestjs-llm-cache/testing';
import { opened } from '../../fixtures/apps.js';
import { all, ask, echo } from '../../fixtures/batches.js';

// One marked address goes through everything; nothing but answers and the model may show it.

const MARK = 'zebra.marked';
const ADDRESS = `${MARK}@example.com`;
const QUESTION = `Mail ${ADDRESS} about it`;

const folder = mkdtempSync(join(tmpdir(), 'llm-cache-nowhere-'));
const lines: string[] = [];

const say = (...words: unknown[]): void => void lines.push(inspect(words, { depth: 10 }));
const logger: LoggerService = { log: say, error: say, warn: say, debug: say, verbose: say, fatal: say };

afterAll(() => {
  rmSync(folder, { recursive: true });
});

@Injectable()
class Service {
  constructor(private readonly llm: LlmService) {}

  @CacheLlm({ tags: [ADDRESS], scope: () => ADDRESS })
  async write(to: unknown): Promise<string> {
    return this.llm.text(`Write to ${JSON.stringify(to)}`);
  }

  @CacheLlm()
  async *stream(to: string): AsyncGenerator<string> {
    yield* ['To ', to.slice(0, 7), to.slice(7)];
  }

  @CacheLlm()
  async fails(to: string): Promise<string> {
    throw Object.assign(new Error('no'), { to: to.length });
  }
}

const modes: PiiMode[] = ['bypass', 'redact', 'pseudonymize', 'redact-stored'];

describe.each(modes)('%s', (mode) => {
  it('shows a marked address nowhere but to the caller, and to the model where that may see it', async () => {
    const path = join(folder, `${mode}.db`);
    const memory = memoryStore();
    const provider = new FakeLlmProvider((request: ChatRequest) => (echo(request).includes('fail') ? new Error('upstream') : `You said: ${echo(request)}`));
    const moduleRef = await Test.createTestingModule({
      imports: [LlmCacheModule.forRoot({ provider, stores: [memory, sqliteStore({ path })], namespace: 'n', pii: { mode } })],
      providers: [{ provide: Service, inject: [LlmService], useFactory: (llm: LlmService) => new Service(llm) }],
    }).compile();
    opened(moduleRef);
    moduleRef.useLogger(logger);
    Logger.overrideLogger(['verbose', 'debug', 'log', 'warn', 'error', 'fatal']);
    Logger.overrideLogger(logger);
    await moduleRef.init();
    const [llm, llmCache, service] = [moduleRef.get(LlmService), moduleRef.get(LlmCache), moduleRef.get(Service)];
    const shown: unknown[] = [];
    llmCache.on((event) => shown.push(event));
    const attempt = async (run: () => Promise<unknown>): Promise<void> => void (await run().catch((error: unknown) => shown.push(error)));

    for (let time = 0; time < 2; time++) {
      await llm.chat(ask(QUESTION, { user: ADDRESS, metadata: { who: ADDRESS } }), { tags: [ADDRESS] });
      for await (const _ of llm.stream(ask(`${QUESTION}, streamed`)));
      await all(llm.batch([ask(`${QUESTION}, in a batch`), ask(`fail ${ADDRESS}`)], { onProgress: (progress) => shown.push(progress) }));
      await service.write({ deep: [{ [ADDRESS]: ADDRESS }] });
      for await (const _ of service.stream(ADDRESS));
      await attempt(() => service.fails(ADDRESS));
      await llmCache.wrap({ name: 'wrapped', input: ADDRESS, scope: ADDRESS }, ({ input }) => `To ${String(input)}`);
      await attempt(() => llm.chat(ask(ADDRESS), { onlyIfCached: true }));
      await attempt(() => llm.chat(ask(`fail ${ADDRESS}`)));
    }
    await llm.text('What is the capital of Japan?'); // so that there is something at rest in every mode
    await attempt(async () => llmCache.keyFor(llm.partsOf(ask(QUESTION))));
    await attempt(async () => shown.push(llmCache.explain(llm.partsOf(ask(QUESTION)), llm.partsOf(ask(`${QUESTION}!`)))));
    await attempt(async () => llmCache.wrap({ name: 'wrapped', input: () => ADDRESS }, () => 1));
    await attempt(() => llmCache.invalidate({ tags: [ADDRESS], scope: ADDRESS }));
    shown.push(llmCache.stats());

    expect(lines.length).toBeGreaterThan(10);
    expect(lines.join('\n')).not.toContain(MARK);
    expect(inspect(shown, { depth: 20, showHidden: true, maxStringLength: null, maxArrayLength: null })).not.toContain(MARK);
    const held: unknown[] = [];
    for await (const entry of memory.iterator!(undefined)) held.push(entry);
    expect(held.length).toBeGreaterThan(0);
    expect(inspect(held, { depth: 10, maxStringLength: null, maxArrayLength: null })).not.toContain(MARK);
    const onDisk = () => readdirSync(folder).map((file) => readFileSync(join(folder, file), 'latin1')).join('');
    expect(onDisk()).toContain('llm-cache/1');
    expect(onDisk()).not.toContain(MARK);
    await moduleRef.close();
    expect(onDisk()).not.toContain(MARK);
    if (mode === 'redact' || mode === 'pseudonymize') expect(JSON.stringify(provider.calls)).not.toContain(MARK);
  });
});
