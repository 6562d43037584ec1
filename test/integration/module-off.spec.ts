import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheLlm, LlmCache, LlmCacheModule, LlmService, withCacheControl } from 'nestjs-llm-cache';
import { FakeLlmProvider } from 'nestjs-llm-cache/testing';

/** A store that tells of every touch. */
class WatchedStore {
  readonly touches: string[] = [];
  get = async (): Promise<undefined> => void this.touches.push('get');
  set = async (): Promise<boolean> => this.touches.push('set') > 0;
  delete = async (): Promise<boolean> => this.touches.push('delete') > 0;
  clear = async (): Promise<void> => void this.touches.push('clear');
}

@Injectable()
class Tickets {
  calls = 0;

  constructor(private readonly llm: LlmService) {}

  @CacheLlm({ model: { model: 'large', temperature: 0 } })
  async summary(text: string): Promise<string> {
    this.calls++;
    return this.llm.text(text);
  }

  @CacheLlm()
  async *stream(): AsyncGenerator<string> {
    yield 'a';
  }

  @CacheLlm()
  async abortable(signal: AbortSignal): Promise<AbortSignal> {
    this.calls++;
    return signal;
  }
}

describe("mode: 'off'", () => {
  const provider = new FakeLlmProvider((request) => `from ${request.model} at ${request.temperature}`);
  let store: WatchedStore;
  let moduleRef: TestingModule;
  let tickets: Tickets;

  beforeEach(async () => {
    provider.calls.length = 0;
    store = new WatchedStore();
    moduleRef = await Test.createTestingModule({
      imports: [LlmCacheModule.forRoot({ mode: 'off', stores: store, provider, model: { model: 'small', seed: 1 } })],
      providers: [Tickets],
    }).compile();
    await moduleRef.init();
    tickets = moduleRef.get(Tickets);
  });

  afterEach(() => moduleRef.close());

  it('runs everything uncached and touches no store', async () => {
    await tickets.summary('x');
    await tickets.summary('x');
    await Promise.all([tickets.summary('y'), tickets.summary('y')]);
    for await (const word of tickets.stream()) expect(word).toBe('a');
    await moduleRef.get(LlmService).text('z');
    await moduleRef.get(LlmCache).wrap({ name: 'n', input: 1 }, () => 1);
    await moduleRef.close();
    expect(tickets.calls).toBe(4);
    expect(provider.calls).toHaveLength(5);
    expect(store.touches).toEqual([]);
  });

  it('still hands the decorator\'s model configuration to LlmService', async () => {
    expect(await tickets.summary('x')).toBe('from large at 0');
    expect(provider.calls[0]).toMatchObject({ model: 'large', temperature: 0, seed: 1 });
  });

  it('counts every call as one bypass, and its tokens as spent', async () => {
    const seen: string[] = [];
    moduleRef.get(LlmCache).on((event) => 'outcome' in event && seen.push(`${event.type} ${event.name} ${event.outcome.reason}`));
    await tickets.summary('x');
    expect(seen).toEqual(['bypass fake off', 'bypass Tickets.summary off']);
    const stats = moduleRef.get(LlmCache).stats();
    expect(stats).toMatchObject({ bypassed: 2, misses: 0, upstream: 1, stored: 0 });
    expect(stats.tokens.spent).toBeGreaterThan(0);
    expect(stats.tokens.saved).toBe(0);
  });

  it('still gives an aborted caller its reason', async () => {
    await expect(tickets.abortable(AbortSignal.abort('left'))).rejects.toBe('left');
    expect(await tickets.abortable(new AbortController().signal)).toBeInstanceOf(AbortSignal);
  });

  it('pays no attention to cache control, not even onlyIfCached', async () => {
    expect(await withCacheControl({ onlyIfCached: true }, () => tickets.summary('x'))).toBe('from large at 0');
  });

  it('still refuses wrong options at start-up', async () => {
    const starting = Test.createTestingModule({ imports: [LlmCacheModule.forRoot({ mode: 'off', ttl: 'soon' as never })] }).compile();
    await expect(starting).rejects.toThrow(/"ttl"/);
  });
});
