import { describe, expect, it, jest } from '@jest/globals';
import { Injectable, Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { type BatchItem, CacheLlm, type CacheOutcome, type CallOptions, LlmCache, type LlmCacheEvent, type LlmCacheOptions, LlmService, memoryStore } from 'nestjs-llm-cache';
import { FakeClock, FakeLlmProvider, LlmCacheTestingModule, type ScriptedAnswer } from 'nestjs-llm-cache/testing';
import { lastValueFrom, Observable, toArray } from 'rxjs';
import { opened } from '../fixtures/apps.js';
import { all, ask, start, textOf } from '../fixtures/batches.js';
import { deferred, settled } from '../fixtures/deferred.js';
import { HOUR, outage, QUESTION } from '../fixtures/stale.js';
import { collect, ManualStream, setUp, words } from '../fixtures/streams.js';

const OPTIONS = { ttl: '1h', jitter: 0 } as const;
const SWR = { ...OPTIONS, staleWhileRevalidate: '10m' } as const;
const SIE = { ...OPTIONS, staleIfError: '1d' } as const;

/** An app of one provider class over an LlmProvider with a script, and a clock. */
async function app<T>(type: new (...args: never[]) => T, options: LlmCacheOptions = {}, ...script: ScriptedAnswer[]) {
  const clock = new FakeClock();
  const provider = new FakeLlmProvider(...script);
  const imports = [LlmCacheTestingModule.forRoot({ ...OPTIONS, clock, provider, ...options })];
  const moduleRef = await Test.createTestingModule({ imports, providers: [type] }).compile();
  opened(await moduleRef.init());
  const llmCache = moduleRef.get(LlmCache);
  const events: LlmCacheEvent[] = [];
  llmCache.on((event) => events.push(event));
  return { clock, provider, llmCache, llm: moduleRef.get(LlmService), service: moduleRef.get<T>(type), events, statuses: () => events.map(({ type: kind }) => kind) };
}

/** Nothing but the module. */
@Injectable()
class Nothing {}

describe('a decorated method', () => {
  @Injectable()
  class Tickets {
    upstream = 0;
    error: Error | undefined;

    @CacheLlm({ staleWhileRevalidate: '10m', staleIfError: '2h' })
    async summary(_ticket: string): Promise<string> {
      this.upstream++;
      if (this.error) throw this.error;
      return `summary ${this.upstream}`;
    }

    @CacheLlm({ staleWhileRevalidate: false })
    async fresh(): Promise<string> {
      return `fresh ${++this.upstream}`;
    }
  }

  it('has windows of its own, over the module\'s', async () => {
    const { clock, service, llmCache } = await app(Tickets, { staleWhileRevalidate: '1d' });
    await service.summary('a');
    await service.fresh();
    clock.advance(HOUR);
    expect(await service.summary('a')).toBe('summary 1');
    expect(await service.fresh()).toBe('fresh 4');
    await settled();
    expect(await service.summary('a')).toBe('summary 3');
    clock.advance('2h');
    service.error = outage();
    expect(await service.summary('a')).toBe('summary 3');
    expect(llmCache.stats()).toMatchObject({ stale: 2, hits: 1, errors: 1 });
  });

  it('with its call of LlmService inside is asked anew with it', async () => {
    @Injectable()
    class Around {
      constructor(private readonly llm: LlmService) {}

      @CacheLlm()
      async summary(ticket: string): Promise<string> {
        return this.llm.text(ticket);
      }
    }
    const { clock, service, provider, llmCache } = await app(Around, SWR, 'one', 'two', 'three');
    await service.summary('a');
    clock.advance(HOUR);
    expect(await service.summary('a')).toBe('one');
    await settled();
    expect(await service.summary('a')).toBe('two');
    expect(provider.calls).toHaveLength(2);
    const { tokens, upstream, stored } = llmCache.stats();
    expect({ upstream, stored }).toEqual({ upstream: 2, stored: 4 });
    expect(tokens.spent).toBeGreaterThan(0);
  });

  it('a changed body is told of, as with a hit', async () => {
    const store = memoryStore();
    const clock = new FakeClock();
    const run = async (body: 'one' | 'two'): Promise<string[]> => {
      class Of1 {
        @CacheLlm({ name: 'Of.ask' })
        async ask(): Promise<string> {
          return 'one';
        }
      }
      class Of2 {
        @CacheLlm({ name: 'Of.ask' })
        async ask(): Promise<string> {
          return 'two and more';
        }
      }
      const imports = [LlmCacheTestingModule.forRoot({ ...SWR, stores: store, clock })];
      const type: new () => Of1 | Of2 = body === 'one' ? Of1 : Of2;
      const moduleRef = await Test.createTestingModule({ imports, providers: [type] }).compile();
      opened(await moduleRef.init());
      const warnings: string[] = [];
      moduleRef.get(LlmCache).on((event) => event.type === 'warning' && warnings.push(event.message));
      await moduleRef.get<Of1 | Of2>(type).ask();
      return warnings;
    };
    expect(await run('one')).toEqual([]);
    clock.advance(HOUR);
    expect(await run('two')).toEqual(['the body of Of.ask changed since these entries were written; bump `version`']);
  });
});

describe('LlmService', () => {
  it('serves and renews chat and text; one who goes on writing to the messages does not spoil it', async () => {
    const { clock, llm, provider, llmCache } = await app(Nothing, SWR, 'one', 'two');
    const messages = [{ role: 'user', content: 'hello' }];
    const request = { messages };
    await llm.chat(request);
    clock.advance(HOUR);
    const { choices } = await llm.chat(request);
    messages.push({ role: 'assistant', content: choices[0]!.message.content as string });
    await settled();
    expect(provider.calls[1]).toEqual({ messages: [{ role: 'user', content: 'hello' }] });
    expect(await llm.text('hello')).toBe('two');
    expect(llmCache.stats()).toMatchObject({ stale: 1, hits: 1, stored: 2, upstream: 2 });
  });

  it('gives the stale answer where the LlmProvider is out of order', async () => {
    const { clock, llm, llmCache } = await app(Nothing, SIE, 'one', outage());
    await llm.text('hello');
    clock.advance(HOUR);
    expect(await llm.text('hello')).toBe('one');
    expect(llmCache.stats()).toMatchObject({ stale: 1, errors: 1 });
  });

  it('pseudonymize: each caller reads its own values in a stale answer, and the model sees none', async () => {
    const { clock, llm, provider, statuses } = await app(Nothing, { ...SWR, pii: { mode: 'pseudonymize' } }, ({ messages }) => `Dear ${(messages[0]!.content as string).split(' ').at(-1)}`);
    const greet = (email: string): Promise<string> => llm.text(`Write to ${email}`);
    expect(await greet('ada@example.com')).toBe('Dear ada@example.com');
    clock.advance(HOUR);
    expect(await greet('bob@example.org')).toBe('Dear bob@example.org');
    await settled();
    expect(await greet('eve@example.net')).toBe('Dear eve@example.net');
    expect(statuses()).toEqual(['miss', 'stale', 'hit']);
    expect(JSON.stringify(provider.calls)).not.toMatch(/ada|bob|eve/);
  });

  it('encrypted, and of one tenant alone', async () => {
    let tenant = 'acme';
    const encryption = { current: 'a', keys: { a: Buffer.alloc(32, 1) } };
    const { clock, llm, statuses } = await app(Nothing, { ...SWR, encryption, scope: { resolve: () => tenant, required: true } }, 'one', 'two', 'three');
    await llm.text('hello');
    clock.advance(HOUR);
    tenant = 'globex';
    expect(await llm.text('hello')).toBe('two');
    tenant = 'acme';
    expect(await llm.text('hello')).toBe('one');
    await settled();
    expect(await llm.text('hello')).toBe('three');
    expect(statuses()).toEqual(['miss', 'miss', 'stale', 'hit']);
  });
});

describe('what is told', () => {
  it('an event, and a line of the log', async () => {
    const clock = new FakeClock();
    const debug = jest.spyOn(Logger.prototype, 'debug').mockImplementation(() => undefined);
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheTestingModule.forRoot({ ...SWR, clock })] }).compile();
    opened(await moduleRef.init());
    const llmCache = moduleRef.get(LlmCache);
    const events: LlmCacheEvent[] = [];
    llmCache.on((event) => events.push(event));
    const produce = (): string => (clock.advance('812ms'), 'answer');
    await llmCache.wrap(QUESTION, produce);
    clock.advance(HOUR);
    await llmCache.wrap(QUESTION, async () => 'new');
    await settled();
    expect(events.at(-1)).toMatchObject({ type: 'stale', name: QUESTION.name, outcome: { status: 'stale', reason: 'while-revalidate', tier: 0, ageMs: HOUR, savedMs: 812 } });
    expect(debug.mock.calls.map(([line]) => line as string)).toContain(`stale ${QUESTION.name} 0.0 ms, saved 812 ms, while-revalidate`);
    debug.mockRestore();
  });
});

describe('a stream', () => {
  const streams = (options: LlmCacheOptions) => {
    const clock = new FakeClock();
    return { clock, ...setUp({ ...options }, clock) };
  };
  const statuses = (outcomes: Array<[string, boolean, string | undefined]>): string[] => outcomes.map(([status, , reason = '']) => `${status} ${reason}`.trim());

  it('is replayed while a new one is recorded to its end, with nobody reading it', async () => {
    const { clock, ask: read, llmCache, outcomes } = streams(SWR);
    await collect(read(() => words('one', 'two')));
    clock.advance(HOUR);
    const upstream = new ManualStream();
    const stale = read(upstream.produce);
    expect(await stale.next()).toEqual({ done: false, value: 'one' });
    await stale.return(undefined); // leaving it is not leaving the refresh
    upstream.push('three', 'four', 'five');
    await settled();
    expect(upstream.pulled).toBe(4);
    upstream.end();
    await settled();
    expect(await collect(read(() => words('never')))).toEqual(['three', 'four', 'five']);
    expect(statuses(outcomes)).toEqual(['miss', 'stale while-revalidate', 'hit']);
    expect(llmCache.stats()).toMatchObject({ upstream: 2, stored: 2, errors: 0, stale: 1 });
  });

  it('is renewed once for many readers; who finds no usable entry waits for the whole of it', async () => {
    const { clock, ask: read, llmCache, outcomes } = streams(SWR);
    await collect(read(() => words('one')));
    clock.advance(HOUR);
    const upstream = new ManualStream();
    const replays = await Promise.all([1, 2, 3].map(() => collect(read(upstream.produce))));
    expect(replays).toEqual([['one'], ['one'], ['one']]);
    const joined = collect(read(upstream.produce, { maxAge: '1m' }));
    upstream.push('two');
    upstream.end();
    expect(await joined).toEqual(['two']);
    expect(upstream.starts).toBe(1);
    expect(statuses(outcomes).at(-1)).toBe('coalesced');
    expect(llmCache.stats()).toMatchObject({ upstream: 2, stored: 2 });
  });

  it('a refresh that fails leaves the stale one, and no rejection', async () => {
    const { clock, ask: read, llmCache } = streams(SWR);
    await collect(read(() => words('one')));
    clock.advance(HOUR);
    const upstream = new ManualStream();
    await collect(read(upstream.produce));
    upstream.push('two');
    upstream.fail(outage());
    await settled();
    expect(await collect(read(upstream.produce))).toEqual(['one']);
    expect(upstream.starts).toBe(1);
    expect(llmCache.stats()).toMatchObject({ errors: 1, stale: 2 });
  });

  it('a refresh ends when the app is closed', async () => {
    const { clock, ask: read, llmCache } = streams(SWR);
    await collect(read(() => words('one')));
    clock.advance(HOUR);
    const upstream = new ManualStream();
    await collect(read(upstream.produce));
    await llmCache.close();
    await settled();
    expect(upstream.signals[0]!.aborted).toBe(true);
  });

  it.each<[string, number, unknown]>([
    ['before its first chunk: the stale one', 0, ['one']],
    ['after it: the error', 1, 'out of order'],
  ])('that fails %s', async (_when, chunks, expected) => {
    const { clock, ask: read, llmCache, outcomes } = streams(SIE);
    await collect(read(() => words('one')));
    clock.advance(HOUR);
    const upstream = new ManualStream();
    const readers = [read(upstream.produce), read(upstream.produce)].map((stream) => collect(stream).catch((error: Error) => error.message));
    await settled();
    upstream.push(...['two'].slice(0, chunks));
    upstream.fail(outage());
    expect(await Promise.all(readers)).toEqual([expected, expected]);
    expect(upstream.starts).toBe(1);
    expect(statuses(outcomes).slice(1).sort()).toEqual(chunks === 0 ? ['stale if-error', 'stale if-error'] : ['coalesced error', 'miss error']);
    expect(llmCache.stats().errors).toBe(1);
  });

  it('that does not fail is read as it comes', async () => {
    const { clock, ask: read, outcomes } = streams(SIE);
    await collect(read(() => words('one')));
    clock.advance(HOUR);
    const upstream = new ManualStream();
    const stream = read(upstream.produce);
    const first = stream.next();
    upstream.push('two');
    expect(await first).toEqual({ done: false, value: 'two' });
    upstream.push('three');
    expect(await stream.next()).toEqual({ done: false, value: 'three' });
    upstream.end();
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(statuses(outcomes)).toEqual(['miss', 'miss']);
  });

  it('that is empty, or left while it starts, ends as it would', async () => {
    const { clock, ask: read, outcomes } = streams(SIE);
    await collect(read(() => words('one')));
    clock.advance(HOUR);
    expect(await collect(read(() => words()))).toEqual([]);
    const upstream = new ManualStream();
    const controller = new AbortController();
    const left = collect(read(upstream.produce, { signal: controller.signal }));
    await settled();
    controller.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    expect(statuses(outcomes)).toEqual(['miss', 'miss empty', 'miss aborted']);
  });

  it.each<[string, number, unknown]>([
    ['before its first chunk', 0, ['one']],
    ['after it', 1, 'out of order'],
  ])('beside the cache, because the one under way cannot be shared, that fails %s', async (_when, chunks, expected) => {
    const { clock, ask: read } = streams({ ...SWR, ...SIE });
    await collect(read(() => words('one')));
    clock.advance(HOUR);
    const [refresh, own] = [new ManualStream(), new ManualStream()];
    await collect(read(refresh.produce));
    const stream = collect(read(own.produce, { staleWhileRevalidate: false })).catch((error: Error) => error.message);
    await settled();
    refresh.push(() => 'no data');
    refresh.end();
    await settled();
    expect(own.starts).toBe(1);
    own.push(...['two'].slice(0, chunks));
    own.fail(outage());
    expect(await stream).toEqual(expected);
  });

  it('of every kind is replayed stale', async () => {
    @Injectable()
    class Kinds {
      upstream = 0;

      @CacheLlm()
      observable(): Observable<string> {
        return new Observable((subscriber) => {
          subscriber.next(`o${++this.upstream}`);
          subscriber.complete();
        });
      }

      @CacheLlm({ returns: 'readableStream' })
      readable(): ReadableStream<string> {
        return ReadableStream.from([`r${++this.upstream}`]);
      }
    }
    const { clock, service } = await app(Kinds, SWR);
    const read = async (): Promise<unknown> => [await lastValueFrom(service.observable().pipe(toArray())), await collect(service.readable())];
    expect(await read()).toEqual([['o1'], ['r2']]);
    clock.advance(HOUR);
    expect(await read()).toEqual([['o1'], ['r2']]);
    await settled();
    expect(await read()).toEqual([['o3'], ['r4']]);
  });

  it('and a whole answer share the stale entry of a chat', async () => {
    const { clock, llm, provider } = await app(Nothing, SWR, 'one', 'two');
    await llm.text('hello');
    clock.advance(HOUR);
    const chunks = await collect(llm.stream(ask('hello')));
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('one');
    await settled();
    expect(await llm.text('hello')).toBe('two');
    expect(provider.calls).toHaveLength(2);
  });
});

describe('a batch', () => {
  const texts = ['a', 'b', 'c', 'd'];
  const requests = texts.map((text) => ask(text));
  const statuses = (items: Array<{ outcome: CacheOutcome }>): string[] => items.map(({ outcome }) => `${outcome.status} ${outcome.reason ?? ''}`.trim());

  async function answered(options: LlmCacheOptions, ...script: ScriptedAnswer[]) {
    const clock = new FakeClock();
    const started = await start({ clock, ...options }, ...script);
    await all(started.llm.batch(requests));
    clock.advance(HOUR);
    return { clock, ...started };
  }

  it('gives stale answers at once; what renews them keeps to its concurrency', async () => {
    const gates = texts.map(() => deferred<string>());
    let renewing = 0;
    const { llm, provider } = await answered(SWR, 'a', 'b', 'c', 'd', () => gates[renewing++]!.promise);
    const items = llm.batch(requests, { concurrency: 2 }) as AsyncGenerator<BatchItem>;
    const first = [await items.next(), await items.next()];
    expect(first.map(({ value }) => textOf(value as BatchItem))).toEqual(['a', 'b']);
    await settled();
    expect(provider.calls).toHaveLength(6);
    gates.forEach((gate, index) => gate.resolve(`new ${index}`));
    expect((await all(items)).map(textOf)).toEqual(['c', 'd']);
    await settled();
    expect((await all(llm.batch(requests))).map(textOf)).toEqual(['new 0', 'new 1', 'new 2', 'new 3']);
  });

  it('gives each of equal requests its own stale answer', async () => {
    const { llm, provider } = await answered(SWR);
    const items = await all(llm.batch([ask('a'), ask('a')], { concurrency: 1 }));
    expect(statuses(items)[0]).toBe('stale while-revalidate');
    expect(statuses(items)[1]).toMatch(/^(hit|stale while-revalidate)$/);
    await settled();
    expect(provider.calls).toHaveLength(5);
  });

  it('gives the stale answer where upstream fails, and waits before it asks for others', async () => {
    const refused = Object.assign(outage(), { status: 429, headers: new Headers({ 'retry-after': '7' }) });
    const { clock, llm, provider } = await answered(SIE, 'a', 'b', 'c', 'd', refused, 'fresh');
    const items = llm.batch(requests.slice(0, 2), { concurrency: 1 }) as AsyncGenerator<BatchItem>;
    expect(statuses([(await items.next()).value as never])).toEqual(['stale if-error']);
    const second = items.next();
    await settled();
    expect(provider.calls).toHaveLength(5);
    clock.advance('7s');
    expect(textOf((await second).value as BatchItem)).toBe('fresh');
  });

  it('takes windows of its own, and refuses wrong ones', async () => {
    const { llm } = await answered(OPTIONS);
    const options: CallOptions = { staleWhileRevalidate: '1m' };
    expect(statuses(await all(llm.batch(requests.slice(0, 1), options)))).toEqual(['stale while-revalidate']);
    expect(() => llm.batch(requests, { staleIfError: 'soon' as never })).toThrow(/"staleIfError"/);
  });
});
