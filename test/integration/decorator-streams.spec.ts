import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheLlm, LlmCache, LlmCacheModule, withCacheControl } from 'nestjs-llm-cache';
import { firstValueFrom, Observable, of, toArray } from 'rxjs';

/** The very object each method made last, to see that callers get that and no copy. */
let made: unknown;
let upstream: number;

function remember<T>(value: T): T {
  upstream++;
  made = value;
  return value;
}

async function* words(): AsyncGenerator<string> {
  yield 'one';
  yield 'two';
}

@Injectable()
class Streams {
  private readonly suffix = '!';

  @CacheLlm()
  async *generator(word: string): AsyncGenerator<string> {
    upstream++;
    yield word + this.suffix;
    yield 'end';
  }

  @CacheLlm()
  declaredIterable(): AsyncIterable<string> {
    return remember(words());
  }

  // No return type: nothing but the first call shows what it is.
  @CacheLlm()
  undeclared() {
    return remember(words());
  }

  @CacheLlm({ returns: 'asyncIterable' })
  told() {
    return remember(words());
  }

  @CacheLlm()
  observable(): Observable<string> {
    return remember(of('one', 'two'));
  }

  @CacheLlm({ returns: 'observable' })
  toldObservable() {
    return remember(of('one', 'two'));
  }

  @CacheLlm()
  readable(): ReadableStream<string> {
    return remember(ReadableStream.from(words()));
  }

  @CacheLlm({ returns: 'readableStream' })
  toldReadable() {
    return remember(ReadableStream.from(words()));
  }

  @CacheLlm()
  failing(): AsyncIterable<string> {
    throw new RangeError('no such stream');
  }
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

let moduleRef: TestingModule;
let streams: Streams;

beforeEach(async () => {
  upstream = 0;
  made = undefined;
  moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Streams] }).compile();
  streams = moduleRef.get(Streams);
});

afterEach(() => moduleRef.close());

describe('methods that return a stream', () => {
  it('an async generator runs anew for every reader, with its `this`', async () => {
    expect(await collect(streams.generator('a'))).toEqual(['a!', 'end']);
    expect(await collect(streams.generator('a'))).toEqual(['a!', 'end']);
    expect(upstream).toBe(2);
  });

  it('an async generator is one when it comes back: it can be stopped early', async () => {
    const stream = streams.generator('a');
    expect(await stream.next()).toEqual({ value: 'a!', done: false });
    expect(await stream.return('stop')).toEqual({ value: 'stop', done: true });
  });

  it.each([
    'declaredIterable', 'undeclared', 'told', 'observable', 'toldObservable', 'readable', 'toldReadable',
  ] as const)('%s comes back at once, as it is, every time', (method) => {
    for (const times of [1, 2]) {
      const stream: unknown = streams[method]();
      expect(stream).toBe(made);
      expect(upstream).toBe(times);
    }
  });

  it('can be read to the end', async () => {
    expect(await collect(streams.declaredIterable())).toEqual(['one', 'two']);
    expect(await collect(streams.undeclared())).toEqual(['one', 'two']);
    expect(await firstValueFrom(streams.observable().pipe(toArray()))).toEqual(['one', 'two']);
    expect(await collect(streams.readable() as ReadableStream<string> & AsyncIterable<string>)).toEqual(['one', 'two']);
  });

  it('are counted and reported as bypasses, without a warning', async () => {
    const events: string[] = [];
    moduleRef.get(LlmCache).on((event) => events.push('outcome' in event ? `${event.type} ${event.name} ${event.outcome.reason}` : event.type));
    streams.observable();
    await collect(streams.generator('a'));
    expect(events).toEqual(['bypass Streams.observable not a promise', 'bypass Streams.generator not a promise']);
    expect(moduleRef.get(LlmCache).stats()).toMatchObject({ bypassed: 2, misses: 0 });
  });

  it('throw at once what they throw at once', () => {
    expect(() => streams.failing()).toThrow(RangeError);
    expect(() => streams.failing()).toThrow('no such stream');
  });

  it.each([{ noCache: true }, { bypass: true }, { maxAge: 0 as const }])('pay no attention to cache control %j', (control) => {
    expect(withCacheControl(control, () => streams.declaredIterable())).toBe(made);
    expect(withCacheControl(control, () => streams.readable())).toBe(made);
  });
});
