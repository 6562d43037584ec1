import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, Logger, type LoggerService, type LogLevel } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheLlm, LlmCache, LlmCacheModule, type LlmCacheOptions, LlmService } from 'nestjs-llm-cache';
import { FakeClock, FakeLlmProvider, LlmCacheTestingModule } from 'nestjs-llm-cache/testing';

const CONTENT = ['prompt-content', 'answer-content', 'tenant-content'];
const clock = new FakeClock();
let lines: Array<[level: string, context: string, text: string]>;
let moduleRef: TestingModule;

const say =
  (level: string) =>
  (text: unknown, context?: string): void =>
    void lines.push([level, context ?? '', String(text)]);
const logger: LoggerService = { log: say('log'), error: say('error'), warn: say('warn'), debug: say('debug'), verbose: say('verbose') };

class Answer {
  constructor(readonly text: string) {}
}

@Injectable()
class Tickets {
  constructor(private readonly llm: LlmService) {}

  @CacheLlm()
  async summary(_text: string): Promise<string> {
    clock.advance('812ms');
    return 'answer-content';
  }

  @CacheLlm()
  async viaService(text: string): Promise<string> {
    return this.llm.text(text);
  }

  @CacheLlm()
  async instance(text: string): Promise<Answer> {
    return new Answer(text);
  }

  @CacheLlm()
  async failing(text: string): Promise<string> {
    throw new Error(text);
  }

  @CacheLlm()
  synchronous(text: string): never {
    return text as never;
  }

  @CacheLlm()
  async callback(_text: string, _done: () => void): Promise<string> {
    return 'answer-content';
  }
}

async function start(options: LlmCacheOptions = {}, levels: LogLevel[] = ['debug', 'warn', 'error', 'log', 'verbose']): Promise<Tickets> {
  Logger.overrideLogger(levels);
  Logger.overrideLogger(logger);
  moduleRef = await Test.createTestingModule({
    imports: [LlmCacheTestingModule.forRoot({ clock, provider: new FakeLlmProvider('answer-content'), ...options })],
    providers: [Tickets],
  })
    .setLogger(logger)
    .compile();
  await moduleRef.init();
  lines = [];
  return moduleRef.get(Tickets);
}

const texts = (level: string): string[] => lines.filter(([at]) => at === level).map(([, , text]) => text);

beforeEach(() => {
  lines = [];
});

afterEach(async () => {
  await moduleRef.close();
  Logger.overrideLogger(['log', 'error', 'warn', 'debug', 'verbose', 'fatal']);
  for (const content of CONTENT) expect(lines.join('\n')).not.toContain(content);
});

describe('debug lines', () => {
  it('are one per call: status, name, time, and what a hit saved', async () => {
    const tickets = await start();
    await tickets.summary('prompt-content');
    await tickets.summary('prompt-content');
    expect(lines).toEqual([
      ['debug', 'LlmCache', 'miss Tickets.summary 812.0 ms'],
      ['debug', 'LlmCache', 'hit Tickets.summary 0.0 ms, saved 812 ms'],
    ]);
  });

  it('name the reason for a bypass and for an answer that was not stored', async () => {
    const tickets = await start({ cacheable: () => false });
    await tickets.summary('prompt-content');
    await tickets.callback('prompt-content', () => undefined);
    expect(texts('debug')).toEqual([
      'miss Tickets.summary 812.0 ms, not-cacheable',
      'bypass Tickets.callback 0.0 ms, uncacheable input: input[1] is a function',
    ]);
  });

  it('tell a decorated call and the service call inside it apart', async () => {
    const tickets = await start();
    await tickets.viaService('prompt-content');
    await tickets.viaService('prompt-content');
    expect(texts('debug')).toEqual(['miss fake 0.0 ms', 'miss Tickets.viaService 0.0 ms', 'hit Tickets.viaService 0.0 ms, saved 0 ms']);
  });

  it('tell who led and who joined', async () => {
    const tickets = await start();
    await Promise.all([tickets.summary('prompt-content'), tickets.summary('prompt-content')]);
    expect(texts('debug').map((line) => line.split(' ').slice(0, 2))).toEqual([
      ['miss', 'Tickets.summary'],
      ['coalesced', 'Tickets.summary'],
    ]);
  });

  it('are there for a failing call, without its message', async () => {
    const tickets = await start();
    await expect(tickets.failing('prompt-content')).rejects.toThrow('prompt-content');
    expect(texts('debug')).toEqual(['miss Tickets.failing 0.0 ms, error']);
  });

  it('are not written where the debug level is off', async () => {
    const tickets = await start({}, ['warn', 'error', 'log']);
    await tickets.summary('prompt-content');
    expect(lines).toEqual([]);
  });
});

describe('debug lines in Nest 11', () => {
  afterEach(() => void jest.restoreAllMocks());

  it('appear while no level was chosen, when Nest 11 says no to every one and prints them all', async () => {
    jest.spyOn(Logger, 'isLevelEnabled').mockReturnValue(false);
    const tickets = await start();
    await tickets.summary('prompt-content');
    expect(texts('debug')).toEqual([expect.stringMatching(/^miss Tickets\.summary/)]);
  });
});

describe('warnings', () => {
  it('come once for a store that is down, with its code', async () => {
    const refused = Object.assign(new Error('connect prompt-content'), { code: 'ECONNREFUSED' });
    const down = { get: () => Promise.reject(refused), set: () => Promise.reject(refused), delete: () => Promise.reject(refused), clear: () => undefined };
    const tickets = await start({ stores: down });
    for (let call = 0; call < 8; call++) await tickets.summary(`prompt-content ${call}`);
    expect(texts('warn')).toContain('store 0: get failed (ECONNREFUSED). Calls go on without it.');
    expect(texts('warn').length).toBeLessThanOrEqual(2);
  });

  it('come once for an undeclared method that returned a value', async () => {
    const tickets = await start();
    expect(tickets.synchronous('x')).toBe('x');
    expect(tickets.synchronous('y')).toBe('y');
    expect(texts('warn')).toEqual(['Tickets.synchronous runs uncached: it returned a value, not a promise. Make it async.']);
  });

  it('come once for an answer that cannot be stored, however often', async () => {
    const tickets = await start();
    for (const text of ['prompt-content', 'prompt-content', 'prompt-content 2']) await tickets.instance(text);
    expect(texts('warn')).toEqual([expect.stringMatching(/^Tickets\.instance: .*Answer.*not stored/)]);
    expect(texts('debug')).toHaveLength(3);
  });

  it('come once for arguments that have no key', async () => {
    const tickets = await start();
    await tickets.callback('prompt-content', () => undefined);
    await tickets.callback('prompt-content', () => undefined);
    expect(texts('warn')).toEqual(['Tickets.callback runs uncached: uncacheable input: input[1] is a function']);
  });

  it('do not come for what is expected', async () => {
    const tickets = await start({ mode: 'off' });
    await tickets.summary('prompt-content');
    await moduleRef.get(LlmService).chat({ messages: [], store: true });
    expect(texts('warn')).toEqual([]);
    expect(texts('debug')).toHaveLength(2);
  });

  it('do not carry a scope', async () => {
    await start({ scope: { resolve: () => 'tenant-content' } });
    await moduleRef.get(LlmCache).wrap({ name: 'n', input: ['prompt-content'] }, () => 'answer-content');
    expect(texts('debug')).toEqual(['miss n 0.0 ms']);
  });
});

it('the module logs through Nest: LlmCacheModule too', async () => {
  Logger.overrideLogger(['debug']);
  moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()] }).setLogger(logger).compile();
  lines = [];
  await moduleRef.get(LlmCache).wrap({ name: 'n', input: 'prompt-content' }, () => 'answer-content');
  expect(texts('debug')).toEqual([expect.stringMatching(/^miss n \d+\.\d ms$/)]);
});
