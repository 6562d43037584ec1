import { describe, expect, it, jest } from '@jest/globals';
import { LlmCache, LlmService, type ChatChunk, type LlmProvider } from 'nestjs-llm-cache';
import { chunkCodec } from '../../../lib/streaming/chunk-codec.js';
import { Recording } from '../../../lib/streaming/recording.js';
import { Observable } from 'rxjs';
import { questionFrom } from '../../../lib/engine/question.js';
import { resultOf } from '../../../lib/streaming/results.js';
import { deferred, settled } from '../../fixtures/deferred.js';
import { troubledStore } from '../../fixtures/stores.js';
import { collect, ManualStream, QUESTION, setUp, words } from '../../fixtures/streams.js';

it('a caller never gets the answer to what another made of its question meanwhile', async () => {
  const store = troubledStore();
  const { llmCache } = setUp({ stores: store.keyv });
  const read = store.hold('get');
  const ask = (question: { of: string }): Promise<unknown[]> =>
    collect(llmCache.wrapStream({ name: 'n', input: question }, () => words(`answer to ${question.of}`) as AsyncGenerator<string>));
  const mine = { of: 'France' };
  const first = ask(mine);
  await settled();
  mine.of = 'Japan';
  const second = ask({ of: 'France' });
  await settled();
  store.heal();
  read.resolve();
  await first;
  expect(await second).toEqual(['answer to France']);
});

describe('a caller of the whole answer that joins a stream', () => {
  const chunk = (content: string, finish: string | null = null): ChatChunk => ({ object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content }, finish_reason: finish }] });

  it.each(['leaves', 'pauses'])('gets it although its reader %s', async (what) => {
    let starts = 0;
    const provider: LlmProvider = {
      id: 'p',
      chat: () => Promise.reject(new Error('never')),
      async *stream() {
        starts++;
        for (const word of ['a', 'b']) yield chunk(word);
        yield chunk('c', 'stop');
      },
    };
    const llm = new LlmService(new LlmCache(), provider);
    const request = { messages: [{ role: 'user', content: 'q' }] };
    const stream = llm.stream(request)[Symbol.asyncIterator]();
    await stream.next();
    const whole = llm.text(request.messages);
    await settled();
    if (what === 'leaves') await stream.return!();
    expect(await whole).toBe('abc');
    expect(starts).toBe(1);
  });
});

it('a reader whose revive throws fails alone, at once', async () => {
  const recording = new Recording(1_000, chunkCodec((plain) => {
    if (plain === 'b') throw new Error('revive broke');
    return plain;
  }));
  const [leader, follower] = [recording.read(true), recording.read()];
  for (const text of ['a', 'b', 'c']) {
    leader.whenReady(() => undefined);
    recording.push(text);
    expect(leader.take()).toBe(text);
  }
  expect(follower.take()).toBe('a');
  expect(() => follower.take()).toThrow('revive broke');
  expect(follower.isLost).toBe(true);
});

describe('leaving before there is anything to read', () => {
  it('while a stream is joined: the upstream is cancelled, and none is started anew', async () => {
    const { ask } = setUp();
    const upstream = new ManualStream();
    const [one, other] = [ask(upstream.produce), ask(upstream.produce)];
    const waiting = [one.next(), other.next()];
    await settled();
    await Promise.all([one.return(undefined), other.return(undefined)]);
    expect(await Promise.all(waiting)).toEqual([{ done: true, value: undefined }, { done: true, value: undefined }]);
    await settled();
    expect([upstream.starts, upstream.returned]).toEqual([1, 1]);
  });

  it('while a store is read: nothing is started', async () => {
    const store = troubledStore();
    const { ask } = setUp({ stores: store.keyv });
    const read = store.hold('get');
    const upstream = new ManualStream();
    const stream = ask(upstream.produce);
    const waiting = stream.next();
    await settled();
    await stream.return(undefined);
    expect(await waiting).toEqual({ done: true, value: undefined });
    store.heal();
    read.resolve();
    await settled();
    expect(upstream.starts).toBe(0);
  });

  it('as an Observable', async () => {
    const { llmCache } = setUp();
    let [subscribed, unsubscribed] = [0, 0];
    const silent = new Observable<never>(() => {
      subscribed++;
      return () => unsubscribed++;
    });
    const observable = (): Observable<unknown> => resultOf('observable', llmCache.openerOf(questionFrom({ ...QUESTION, stream: true }, () => silent), {})) as Observable<unknown>;
    const subscriptions = [observable().subscribe(), observable().subscribe()];
    await settled();
    for (const subscription of subscriptions) subscription.unsubscribe();
    await settled();
    expect([subscribed, unsubscribed]).toEqual([1, 1]);
  });

  it('an iterator that is never read starts nothing', async () => {
    const { ask } = setUp();
    const upstream = new ManualStream();
    await ask(upstream.produce)[Symbol.asyncIterator]().return(undefined);
    await settled();
    expect(upstream.starts).toBe(0);
  });
});

it('a stream that comes when everybody has left is closed', async () => {
  const { ask } = setUp();
  const upstream = new ManualStream();
  const coming = deferred();
  const stream = ask(async (call) => {
    await coming.promise;
    return upstream.produce(call);
  });
  const waiting = stream.next();
  await settled();
  await stream.return(undefined);
  await waiting;
  coming.resolve();
  await settled();
  expect(upstream.returned).toBe(1);
});

it('a ReadableStream that is stuck is cancelled', async () => {
  const { ask } = setUp();
  const cancel = jest.fn<() => void>();
  const stream = ask(() => new ReadableStream({ pull: () => new Promise(() => {}), cancel }));
  const waiting = stream.next();
  await settled();
  await stream.return(undefined);
  await waiting;
  await settled();
  expect(cancel).toHaveBeenCalledTimes(1);
});

it('reading on after a look at the first chunk is the same, hit or miss', async () => {
  const { ask } = setUp();
  for (let time = 0; time < 2; time++) {
    const stream = ask(() => words('a', 'b', 'c'));
    const seen = [(await stream[Symbol.asyncIterator]().next()).value];
    for await (const chunk of stream) seen.push(chunk);
    expect(seen).toEqual(['a', 'b', 'c']);
  }
});

it('a single reader of a bypassed stream is never too far behind', async () => {
  const { ask } = setUp({ mode: 'off', maxEntryBytes: 100 });
  const burst = new Observable<string>((subscriber) => {
    for (let count = 0; count < 40; count++) subscriber.next('x'.repeat(100));
    subscriber.complete();
  });
  expect(await collect(ask(() => burst))).toHaveLength(40);
});

it('many streams under one signal warn of nothing', async () => {
  const warned = jest.fn();
  process.on('warning', warned);
  const { ask } = setUp();
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 30 }, (_, index) => collect(ask(() => words('a'), { signal, parts: { name: 'n', input: index } }))));
  await settled();
  process.off('warning', warned);
  expect(warned).not.toHaveBeenCalled();
});
