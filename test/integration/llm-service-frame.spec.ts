import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { type CacheableContext, CacheLlm, type CacheOutcome, type ChatRequest, type ChatResponse, LlmCache, type LlmCacheEvent, LlmService, withCacheControl } from 'nestjs-llm-cache';
import { FakeClock, FakeLlmProvider, LlmCacheTestingModule, type LlmCacheTestingOptions, type ScriptedAnswer } from 'nestjs-llm-cache/testing';
import { deferred, settled } from '../fixtures/deferred.js';
import { opened } from '../fixtures/apps.js';

@Injectable()
class Tickets {
  calls = 0;

  constructor(private readonly llm: LlmService) {}

  @CacheLlm({ model: { model: 'method', temperature: 0 } })
  async summary(text: string, config: Record<string, unknown> = {}): Promise<string> {
    this.calls++;
    return this.llm.text(`Summarize: ${text}`, config);
  }

  @CacheLlm({ model: (text: string) => ({ model: text.length > 3 ? 'large' : 'small' }) })
  async sized(text: string): Promise<string> {
    return this.llm.text(text);
  }

  @CacheLlm()
  async twoQuestions(text: string): Promise<string[]> {
    this.calls++;
    return [await this.llm.text(`first ${text}`), await this.llm.text(`second ${text}`)];
  }

  @CacheLlm({ tags: ['billing'] })
  async tagged(text: string): Promise<string> {
    this.calls++;
    return this.llm.text(text);
  }

  @CacheLlm()
  async lenient(text: string): Promise<string> {
    this.calls++;
    return this.llm.text(text).catch(() => 'a fallback');
  }

  @CacheLlm()
  async abortable(text: string, _signal?: AbortSignal): Promise<string> {
    return this.llm.text(text);
  }
}

const clock = new FakeClock();
let provider: FakeLlmProvider;
let tickets: Tickets;
let llm: LlmService;
let llmCache: LlmCache;
let outcomes: Array<{ name: string } & CacheOutcome>;

async function start(options: LlmCacheTestingOptions = {}, ...script: ScriptedAnswer[]): Promise<void> {
  provider = new FakeLlmProvider(...script);
  const imports = [LlmCacheTestingModule.forRoot({ provider, clock, ...options })];
  const moduleRef = await Test.createTestingModule({ imports, providers: [Tickets] }).compile();
  opened(moduleRef);
  tickets = moduleRef.get(Tickets);
  llm = moduleRef.get(LlmService);
  llmCache = moduleRef.get(LlmCache);
  outcomes = [];
  llmCache.on((event: LlmCacheEvent) => 'outcome' in event && outcomes.push(event.outcome));
}

function completion(finish_reason: string, content = 'half an ans'): ChatResponse {
  return { object: 'chat.completion', choices: [{ finish_reason, message: { role: 'assistant', content } }], usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } };
}

describe('model configuration', () => {
  it('module < method < request', async () => {
    await start({ model: { model: 'module', top_p: 0.5, seed: 1 } });
    await tickets.summary('x', { temperature: 1, max_tokens: 9 });
    expect(provider.calls[0]).toMatchObject({ model: 'method', top_p: 0.5, seed: 1, temperature: 1, max_tokens: 9 });
    await llm.text('x');
    expect(provider.calls[1]).toEqual({ model: 'module', top_p: 0.5, seed: 1, messages: [{ role: 'user', content: 'x' }] });
  });

  it('a field that is undefined is not given', async () => {
    await start({ model: { model: 'module' } });
    await tickets.summary('x', { temperature: undefined });
    expect(provider.calls[0]).toMatchObject({ model: 'method', temperature: 0 });
  });

  it('a function\'s configuration reaches the call it was asked for', async () => {
    await start();
    await Promise.all([tickets.sized('abc'), tickets.sized('abcdef')]);
    expect(new Set(provider.calls.map(({ model }) => model))).toEqual(new Set(['large', 'small']));
  });

  it('key and call agree: what was sent is what is in the key', async () => {
    await start({ model: { seed: 1 } });
    await tickets.summary('x');
    const [sent] = provider.calls as [ChatRequest];
    const fromOutside = llmCache.keyFor(llm.partsOf(sent));
    expect(outcomes[0]).toMatchObject({ name: 'fake', status: 'miss', key: fromOutside });
    await llm.chat(sent);
    expect(provider.calls).toHaveLength(1);
  });

  it('another method configuration is another entry, inside and outside', async () => {
    await start();
    await tickets.summary('x');
    await llm.text('Summarize: x');
    expect(provider.calls).toHaveLength(2);
  });

  it('ends with the method: calls after it are their own', async () => {
    await start();
    await tickets.summary('x');
    await llm.text('later');
    expect(provider.calls[1]).toEqual({ messages: [{ role: 'user', content: 'later' }] });
  });
});

describe('scope', () => {
  @Injectable()
  class Tenants {
    constructor(private readonly service: LlmService) {}

    @CacheLlm({ scope: (tenant: string) => tenant, key: (_tenant: string) => 'same' })
    async ask(_tenant: string): Promise<string> {
      return this.service.text('the same request');
    }
  }

  it('reaches inside: two tenants who send the same request share nothing', async () => {
    const answers = new FakeLlmProvider('for a', 'for b');
    const imports = [LlmCacheTestingModule.forRoot({ provider: answers, scope: { resolve: () => 'everybody' } })];
    const moduleRef = opened(await Test.createTestingModule({ imports, providers: [Tenants] }).compile());
    const tenants = moduleRef.get(Tenants);
    for (const tenant of ['a', 'b']) expect(await tenants.ask(tenant)).toBe(`for ${tenant}`);
    await moduleRef.get(LlmCache).invalidate({ scope: 'a' });
    expect(await tenants.ask('b')).toBe('for b');
    expect(answers.calls).toHaveLength(2);
  });

  it('that a call names itself goes before the one around it', async () => {
    const own = new LlmCache();
    const ask = (inner: string): Promise<unknown> =>
      own.wrap({ name: 'outer', input: inner, scope: 'a' }, () => own.wrap({ name: 'inner', input: 1, scope: inner }, () => inner));
    expect([await ask('b'), await ask('c')]).toEqual(['b', 'c']);
  });
});

describe('a filter', () => {
  it('is told the model and the end of what a text was made from, when it is written and when it is read', async () => {
    const seen: unknown[] = [];
    const cacheable = (_answer: unknown, { name, stored, model, finishReason }: CacheableContext): boolean => {
      if (name !== 'fake') seen.push([stored, model, finishReason]);
      return true;
    };
    await start({ cacheable }, { ...completion('stop', 'an answer'), model: 'method-2026-01-01' });
    for (let time = 0; time < 2; time++) await tickets.summary('a');
    expect(seen).toEqual([
      [false, 'method-2026-01-01', 'stop'],
      [true, 'method-2026-01-01', 'stop'],
    ]);
  });
});

describe('the books', () => {
  it('a decorated call and the service call inside are two outcomes and one spend', async () => {
    await start({}, completion('stop'));
    await tickets.summary('x');
    expect(outcomes.map(({ name, status }) => `${status} ${name}`)).toEqual(['miss fake', 'miss Tickets.summary']);
    expect(llmCache.stats()).toMatchObject({ misses: 2, upstream: 1, stored: 2, tokens: { spent: 10, saved: 0 } });
    expect(outcomes[1]).toMatchObject({ usage: { inputTokens: 7, outputTokens: 3, totalTokens: 10 } });
  });

  it('a hit saves what the answer cost, once', async () => {
    await start({}, (request) => {
      clock.advance('800ms');
      return { ...completion('stop'), asked: request.messages.length };
    });
    await tickets.summary('x');
    await tickets.summary('x');
    expect(outcomes.at(-1)).toMatchObject({ status: 'hit', savedMs: 800, usage: { totalTokens: 10 } });
    expect(llmCache.stats()).toMatchObject({ tokens: { spent: 10, saved: 10 }, ms: { spent: 800, saved: 800 } });
  });

  it('two service calls inside one method are summed in its usage', async () => {
    await start({}, completion('stop'));
    await tickets.twoQuestions('x');
    expect(outcomes.at(-1)).toMatchObject({ name: 'Tickets.twoQuestions', usage: { totalTokens: 20 } });
    expect(llmCache.stats()).toMatchObject({ upstream: 2, tokens: { spent: 20 } });
  });

  it('an inner hit is no upstream call of the outer', async () => {
    await start({}, completion('stop'));
    await llm.text('x');
    await tickets.tagged('x');
    expect(llmCache.stats()).toMatchObject({ upstream: 1, hits: 1, misses: 2, tokens: { spent: 10, saved: 10 } });
  });
});

describe('an answer that was not good', () => {
  it.each([
    ['length', 'truncated'],
    ['content_filter', 'content-filter'],
  ])('inside (%s) keeps the outer answer from being stored', async (finish, reason) => {
    await start({}, completion(finish));
    expect(await tickets.summary('x')).toBe('half an ans');
    expect(outcomes[1]).toMatchObject({ name: 'Tickets.summary', stored: false, reason });
    await tickets.summary('x');
    expect(tickets.calls).toBe(2);
    expect(provider.calls).toHaveLength(2);
  });

  it('an error that the method swallowed keeps its fallback from being stored', async () => {
    await start({}, new Error('down'), 'fine again');
    expect(await tickets.lenient('x')).toBe('a fallback');
    expect(await tickets.lenient('x')).toBe('fine again');
  });

  it('does not spoil the next one', async () => {
    await start({}, completion('length'), completion('stop', 'whole'));
    await tickets.summary('x');
    await tickets.summary('x');
    expect(await tickets.summary('x')).toBe('whole');
    expect(tickets.calls).toBe(2);
  });
});

describe('abort', () => {
  it('passes down to the provider when the last caller leaves', async () => {
    const asked = deferred();
    await start({}, () => {
      asked.resolve();
      return new Promise<string>(() => undefined);
    });
    const controllers = [new AbortController(), new AbortController()];
    const calls = Promise.allSettled(controllers.map(({ signal }) => tickets.abortable('x', signal)));
    await asked.promise;
    controllers[0]!.abort('first');
    await settled();
    controllers[1]!.abort('second');
    expect(await calls).toMatchObject([{ reason: 'first' }, { reason: 'second' }]);
    expect(outcomes.map(({ name, reason }) => `${name} ${reason}`).sort()).toEqual(['Tickets.abortable aborted', 'Tickets.abortable aborted', 'fake aborted']);
  });

  it('of the outer call leaves an inner call alone that others wait for', async () => {
    const gate = deferred<string>();
    await start({}, () => gate.promise);
    const controller = new AbortController();
    const outer = tickets.abortable('x', controller.signal);
    await settled();
    const other = llm.text('x');
    await settled();
    controller.abort('left');
    await expect(outer).rejects.toBe('left');
    gate.resolve('whole');
    expect(await other).toBe('whole');
    expect(provider.calls).toHaveLength(1);
  });
});

describe('cache control reaches inside', () => {
  it('noCache: both call again, and store the new answer', async () => {
    await start({}, 'old', 'new');
    await tickets.tagged('x');
    expect(await withCacheControl({ noCache: true }, () => tickets.tagged('x'))).toBe('new');
    expect(await tickets.tagged('x')).toBe('new');
    expect(await llm.text('x')).toBe('new');
    expect(provider.calls).toHaveLength(2);
  });

  it('noStore: neither is stored', async () => {
    await start();
    await withCacheControl({ noStore: true }, () => tickets.tagged('x'));
    expect(llmCache.stats()).toMatchObject({ stored: 0, misses: 2 });
    await llm.text('x');
    expect(provider.calls).toHaveLength(2);
  });

  it('bypass: neither reads nor stores', async () => {
    await start();
    await tickets.tagged('x');
    await withCacheControl({ bypass: true }, () => tickets.tagged('x'));
    expect(provider.calls).toHaveLength(2);
    expect(outcomes.slice(2)).toMatchObject([{ status: 'bypass', reason: 'requested' }, { status: 'bypass', reason: 'requested' }]);
  });

  it('sample: an independent answer, inside as well', async () => {
    await start({}, 'one', 'two');
    expect(await tickets.tagged('x')).toBe('one');
    expect(await withCacheControl({ sample: 1 }, () => tickets.tagged('x'))).toBe('two');
    expect(await withCacheControl({ sample: 1 }, () => tickets.tagged('x'))).toBe('two');
    expect(provider.calls).toHaveLength(2);
  });

  it('maxAge: an old inner answer is not good enough', async () => {
    await start({}, 'old', 'new');
    await llm.text('x');
    clock.advance('2h');
    expect(await withCacheControl({ maxAge: '1h' }, () => tickets.tagged('x'))).toBe('new');
  });

  it('ttl: both are stored for that long', async () => {
    await start({ ttl: '1d' });
    await withCacheControl({ ttl: '1m' }, () => tickets.tagged('x'));
    clock.advance('1m');
    await llm.text('x');
    expect(provider.calls).toHaveLength(2);
  });

  it('an answer made from an old one is no younger', async () => {
    await start({ ttl: '1d' });
    await llm.text('x');
    clock.advance('23h');
    await tickets.tagged('x');
    clock.advance('1h');
    await tickets.tagged('x');
    expect(tickets.calls).toBe(2);
    expect(provider.calls).toHaveLength(2);
  });

  it('onlyIfCached: a miss inside is a miss outside', async () => {
    await start();
    await expect(withCacheControl({ onlyIfCached: true }, () => tickets.tagged('x'))).rejects.toMatchObject({ code: 'LLM_CACHE_MISS' });
    expect(provider.calls).toHaveLength(0);
  });

  it('onOutcome is told of both', async () => {
    await start();
    const told: string[] = [];
    await withCacheControl({ onOutcome: ({ status }) => told.push(status) }, () => tickets.tagged('x'));
    await withCacheControl({ onOutcome: ({ status }) => told.push(status) }, () => tickets.tagged('x'));
    expect(told).toEqual(['miss', 'miss', 'hit']);
  });

  it('an inner answer goes with the outer one\'s tag', async () => {
    await start({}, 'old', 'new');
    await tickets.tagged('x');
    await llmCache.invalidate({ tags: ['billing'] });
    expect(await tickets.tagged('x')).toBe('new');
  });
});
