import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Injectable, Query, Sse, type MessageEvent } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheLlm, LlmCache, LlmCacheModule, withCacheControl } from 'nestjs-llm-cache';
import { firstValueFrom, interval, lastValueFrom, map, Observable, of, take, toArray } from 'rxjs';
import { opened } from '../fixtures/apps.js';
import { settled } from '../fixtures/deferred.js';
import { collect } from '../fixtures/streams.js';

let upstream: number;
let signals: AbortSignal[];

async function* words(word: string): AsyncGenerator<string> {
  upstream++;
  yield word;
  yield 'end';
}

@Injectable()
class Streams {
  private readonly suffix = '!';

  @CacheLlm()
  async *generator(word: string, _signal?: AbortSignal): AsyncGenerator<string> {
    if (_signal) signals.push(_signal);
    yield* words(word + this.suffix);
  }

  @CacheLlm()
  declaredIterable(word: string): AsyncIterable<string> {
    return words(word + this.suffix);
  }

  // No return type: nothing but the first call shows what it is.
  @CacheLlm()
  undeclared(word: string) {
    return words(word + this.suffix);
  }

  @CacheLlm({ returns: 'asyncIterable' })
  told(word: string) {
    return words(word + this.suffix);
  }

  @CacheLlm()
  observable(word: string): Observable<string> {
    upstream++;
    return of(word + this.suffix, 'end');
  }

  @CacheLlm({ returns: 'observable' })
  toldObservable(word: string) {
    upstream++;
    return of(word + this.suffix, 'end');
  }

  @CacheLlm()
  readable(word: string): ReadableStream<string> {
    return ReadableStream.from(words(word + this.suffix));
  }

  @CacheLlm({ returns: 'readableStream' })
  toldReadable(word: string) {
    return ReadableStream.from(words(word + this.suffix));
  }

  @CacheLlm()
  undeclaredReadable(word: string) {
    return ReadableStream.from(words(word + this.suffix));
  }

  @CacheLlm()
  nodeStream(word: string): Readable {
    return Readable.from(words(word + this.suffix));
  }

  @CacheLlm()
  failing(): AsyncIterable<string> {
    throw new RangeError('no such stream');
  }

  @CacheLlm()
  async whole(word: string): Promise<string> {
    let text = '';
    for await (const piece of this.generator(word)) text += piece;
    return text;
  }
}

let moduleRef: TestingModule;
let streams: Streams;

beforeEach(async () => {
  upstream = 0;
  signals = [];
  moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Streams] }).compile();
  streams = moduleRef.get(Streams);
});

afterEach(() => moduleRef.close());

const read = (stream: unknown): Promise<unknown[]> =>
  stream instanceof Observable ? lastValueFrom(stream.pipe(toArray())) : collect(stream as AsyncIterable<unknown>);

const kinds = [
  'generator', 'declaredIterable', 'undeclared', 'told', 'observable', 'toldObservable', 'readable', 'toldReadable', 'undeclaredReadable',
] as const;

describe('methods that return a stream', () => {
  it.each(kinds)('%s is answered from the cache the second time, with its `this` and its arguments', async (method) => {
    for (const word of ['a', 'a', 'b', 'a', 'b']) expect(await read(streams[method](word))).toEqual([`${word}!`, 'end']);
    expect(upstream).toBe(2);
    expect(moduleRef.get(LlmCache).stats()).toMatchObject({ misses: 2, hits: 3, bypassed: 0 });
  });

  it.each(kinds)('%s: two who ask at once share one call', async (method) => {
    await read(streams[method]('warm-up'));
    upstream = 0;
    expect(await Promise.all([read(streams[method]('a')), read(streams[method]('a'))])).toEqual([['a!', 'end'], ['a!', 'end']]);
    expect(upstream).toBe(1);
  });

  it.each(kinds)('%s comes back in the form it has', async (method) => {
    for (let time = 0; time < 2; time++) {
      const stream: unknown = streams[method]('a');
      const isObservable = /observable/i.test(method);
      expect(stream instanceof Observable).toBe(isObservable);
      expect(stream instanceof ReadableStream).toBe(/readable/i.test(method));
      expect(typeof (stream as AsyncGenerator)[Symbol.asyncIterator]).toBe(isObservable ? 'undefined' : 'function');
      await read(stream);
    }
  });

  it.each(['generator', 'observable', 'toldReadable'] as const)('%s starts nothing before it is read', async (method) => {
    streams[method]('a');
    await settled();
    expect(upstream).toBe(0);
  });

  it('an async generator can be stopped early', async () => {
    const stream = streams.generator('a');
    expect(await stream.next()).toEqual({ value: 'a!', done: false });
    expect(await stream.return('stop')).toEqual({ value: 'stop', done: true });
    expect(await stream.next()).toEqual({ value: undefined, done: true });
  });

  it('an async iterable can be read twice', async () => {
    const stream = streams.declaredIterable('a');
    expect([await collect(stream), await collect(stream)]).toEqual([['a!', 'end'], ['a!', 'end']]);
    expect(upstream).toBe(1);
  });

  it('an Observable can be subscribed to again, and left early', async () => {
    const stream = streams.observable('a');
    expect(await firstValueFrom(stream)).toBe('a!');
    expect([await read(stream), await read(stream)]).toEqual([['a!', 'end'], ['a!', 'end']]);
  });

  it('a ReadableStream has the readers of one, and can be cancelled', async () => {
    const reader = streams.readable('a').getReader();
    expect(await reader.read()).toEqual({ value: 'a!', done: false });
    await reader.cancel();
    expect(await new Response((streams.readable('b') as ReadableStream).pipeThrough(new TextEncoderStream())).text()).toBe('b!end');
  });

  it('a Node stream comes back as it is, uncached: its callers expect more than chunks', async () => {
    for (let time = 0; time < 2; time++) expect(streams.nodeStream('a')).toBeInstanceOf(Readable);
    expect(moduleRef.get(LlmCache).stats()).toMatchObject({ bypassed: 2 });
  });

  it('what the method throws at once reaches the reader', async () => {
    await expect((async () => read(streams.failing()))()).rejects.toThrow(new RangeError('no such stream'));
  });

  it('the signal among the arguments is the shared one', async () => {
    const own = new AbortController();
    const stream = streams.generator('a', own.signal);
    await stream.next();
    expect(signals[0]).not.toBe(own.signal);
    own.abort('gone');
    await expect(stream.next()).rejects.toBe('gone');
    expect(signals[0]!.aborted).toBe(true);
  });

  it('cache control counts where the method is called, not where it is read', async () => {
    await read(streams.generator('a'));
    const fresh = withCacheControl({ noCache: true }, () => streams.generator('a'));
    await read(fresh);
    expect(upstream).toBe(2);
  });

  it('is invalidated by its parts', async () => {
    const llmCache = moduleRef.get(LlmCache);
    await read(streams.generator('a'));
    await llmCache.invalidate({ key: llmCache.partsOf(streams, 'generator', ['a']) });
    await read(streams.generator('a'));
    expect(upstream).toBe(2);
  });

  it('inside another method, is one spend with it, and is removed with it', async () => {
    expect([await streams.whole('a'), await streams.whole('a')]).toEqual(['a!end', 'a!end']);
    const llmCache = moduleRef.get(LlmCache);
    expect(llmCache.stats()).toMatchObject({ upstream: 1, misses: 2, hits: 1 });
    await llmCache.invalidate({ name: 'Streams.generator' });
    await streams.whole('a');
    expect(upstream).toBe(2);
  });
});

describe('@Sse()', () => {
  @Controller()
  class Events {
    @Sse('ticks')
    @CacheLlm()
    ticks(@Query('word') word: string): Observable<MessageEvent> {
      upstream++;
      return interval(1).pipe(take(3), map((index) => ({ id: `${index}`, data: { word, index } })));
    }
  }

  it('answers the second client from the cache, event by event', async () => {
    const events = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], controllers: [Events] }).compile();
    const app = opened(events.createNestApplication({ logger: false }));
    await app.listen(0, '127.0.0.1');
    const get = async (word: string): Promise<string> => (await fetch(`${await app.getUrl()}/ticks?word=${word}`)).text();
    const first = await get('a');
    expect(first.match(/data: .*/g)).toEqual([0, 1, 2].map((index) => `data: {"word":"a","index":${index}}`));
    expect(await get('a')).toBe(first);
    expect(await get('b')).toContain('"word":"b"');
    expect(upstream).toBe(2);
    expect(app.get(LlmCache).stats()).toMatchObject({ hits: 1, misses: 2 });
  });
});
