import { describe, expect, it } from '@jest/globals';
import { type InvalidationTarget, LlmCache } from 'nestjs-llm-cache';
import { Observable, range } from 'rxjs';
import { settled } from '../../fixtures/deferred.js';
import { collect, ManualStream, QUESTION, setUp, words } from '../../fixtures/streams.js';

describe('when a reader leaves', () => {
  it('the others go on', async () => {
    const { ask, outcomes } = setUp();
    const upstream = new ManualStream();
    const [leader, follower] = [ask(upstream.produce), ask(upstream.produce)];
    upstream.push('a');
    await Promise.all([leader.next(), follower.next()]);
    await leader.return(undefined);
    expect(upstream.signals[0]!.aborted).toBe(false);
    upstream.push('b');
    upstream.end();
    expect([(await follower.next()).value, (await follower.next()).done]).toEqual(['b', true]);
    expect(await collect(ask(() => words('never')))).toEqual(['a', 'b']);
    expect(outcomes).toEqual([['miss', false, 'aborted'], ['coalesced', false, undefined], ['hit', false, undefined]]);
  });

  it('and it was the last, the upstream is cancelled: signal and return()', async () => {
    const { ask } = setUp();
    const upstream = new ManualStream();
    const [leader, follower] = [ask(upstream.produce), ask(upstream.produce)];
    upstream.push('a');
    await Promise.all([leader.next(), follower.next()]);
    await leader.return(undefined);
    await follower.return(undefined);
    await settled();
    expect([upstream.signals[0]!.aborted, upstream.returned]).toEqual([true, 1]);
    expect(await collect(ask(() => words('new')))).toEqual(['new']);
  });

  it('while a chunk is awaited, it leaves at once', async () => {
    const { ask } = setUp();
    const upstream = new ManualStream();
    const stream = ask(upstream.produce);
    const waiting = stream.next();
    await settled();
    expect(await stream.return('x' as never)).toEqual({ done: true, value: 'x' });
    expect(await waiting).toEqual({ done: true, value: undefined });
    await settled();
    expect(upstream.returned).toBe(1);
  });

  it('by its own abort signal, it rejects with the reason, and nobody else does', async () => {
    const { ask, outcomes } = setUp();
    const upstream = new ManualStream();
    const abort = new AbortController();
    const [one, other] = [ask(upstream.produce, { signal: abort.signal }), ask(upstream.produce)];
    const waiting = [one.next(), other.next()];
    await settled();
    const reason = new Error('enough');
    abort.abort(reason);
    await expect(waiting[0]).rejects.toBe(reason);
    upstream.push('a');
    upstream.end();
    expect((await waiting[1]!).value).toBe('a');
    await collect(other);
    expect(outcomes).toEqual([['miss', false, 'aborted'], ['coalesced', false, undefined]]);
    expect(upstream.signals[0]!.aborted).toBe(false);
  });

  it('an abort before the stream is read starts nothing', async () => {
    const { ask } = setUp();
    const upstream = new ManualStream();
    await expect(ask(upstream.produce, { signal: AbortSignal.abort('gone') }).next()).rejects.toBe('gone');
    expect(upstream.starts).toBe(0);
  });

  it('by throwing into the stream, it leaves too', async () => {
    const { ask } = setUp();
    const upstream = new ManualStream();
    const stream = ask(upstream.produce);
    upstream.push('a');
    await stream.next();
    await expect(stream.throw(new Error('mine'))).rejects.toThrow('mine');
    await settled();
    expect(upstream.returned).toBe(1);
  });

  it('a reader that throws in its loop leaves', async () => {
    const { ask } = setUp();
    const upstream = new ManualStream();
    upstream.push('a');
    await expect((async () => { for await (const chunk of ask(upstream.produce)) throw new Error(String(chunk)); })()).rejects.toThrow('a');
    await settled();
    expect([upstream.signals[0]!.aborted, upstream.returned]).toEqual([true, 1]);
  });

  it('an endless Observable that emits all at once can be left', async () => {
    const { ask, llmCache } = setUp();
    const stream = ask(() => range(0, 1_000));
    expect((await stream.next()).value).toBe(0);
    await stream.return(undefined);
    await settled();
    expect(llmCache.stats().stored).toBeLessThanOrEqual(1);
    let unsubscribed = 0;
    const silent = ask(() => new Observable(() => () => unsubscribed++), { noCache: true });
    const waiting = silent.next();
    await settled();
    await silent.return(undefined);
    await waiting;
    await settled();
    expect(unsubscribed).toBe(1);
  });
});

describe("onAbandon: 'finish'", () => {
  it('lets a stream that everybody left run to its end, and stores it', async () => {
    const { ask } = setUp({ onAbandon: 'finish' });
    const upstream = new ManualStream();
    const stream = ask(upstream.produce);
    upstream.push('a');
    await stream.next();
    await stream.return(undefined);
    upstream.push('b', 'c');
    upstream.end();
    await settled();
    expect(upstream.signals[0]!.aborted).toBe(false);
    expect(await collect(ask(() => words('never')))).toEqual(['a', 'b', 'c']);
  });

  it('a caller who comes meanwhile joins it', async () => {
    const { ask } = setUp({ onAbandon: 'finish' });
    const upstream = new ManualStream();
    const stream = ask(upstream.produce);
    upstream.push('a');
    await stream.next();
    await stream.return(undefined);
    const late = ask(upstream.produce);
    expect((await late.next()).value).toBe('a');
    upstream.end();
    await collect(late);
    expect(upstream.starts).toBe(1);
  });

  it('but not one that is too large to be stored: it is cancelled', async () => {
    const { ask } = setUp({ onAbandon: 'finish', maxEntryBytes: 1_000 });
    const upstream = new ManualStream();
    const stream = ask(upstream.produce);
    upstream.push('a');
    await stream.next();
    await stream.return(undefined);
    for (let count = 0; count < 5; count++) upstream.push('x'.repeat(300));
    await settled();
    expect([upstream.signals[0]!.aborted, upstream.returned]).toEqual([true, 1]);
  });

  it('closing the cache cancels what nobody reads', async () => {
    const { ask, llmCache } = setUp({ onAbandon: 'finish' });
    const upstream = new ManualStream();
    const stream = ask(upstream.produce);
    upstream.push('a');
    await stream.next();
    await stream.return(undefined);
    await llmCache.close();
    await settled();
    expect(upstream.returned).toBe(1);
  });
});

describe('close() during a stream', () => {
  it('resolves at once; who reads goes on reading, and nothing is stored', async () => {
    const { ask, llmCache, outcomes } = setUp();
    const upstream = new ManualStream();
    const stream = ask(upstream.produce);
    upstream.push('a');
    await stream.next();
    await llmCache.close();
    upstream.push('b');
    upstream.end();
    expect([(await stream.next()).value, (await stream.next()).done]).toEqual(['b', true]);
    expect(outcomes).toEqual([['miss', false, 'no-store']]);
  });
});

describe('an invalidation during a stream', () => {
  const tags = ['invoices'];
  const targets: Array<[string, (llmCache: LlmCache) => Promise<void>]> = [
    ['clear()', (llmCache) => llmCache.clear()],
    ...(
      [
        ['by tag', { tags }],
        ['by name', { name: QUESTION.name }],
        ['by key', { key: { ...QUESTION, stream: true } }],
      ] as Array<[string, InvalidationTarget]>
    ).map(([name, target]): [string, (llmCache: LlmCache) => Promise<void>] => [name, (llmCache) => llmCache.invalidate(target)]),
  ];

  it.each(targets)('%s: its readers are answered, nothing is stored, nobody joins', async (_name, invalidate) => {
    const { ask, llmCache, outcomes } = setUp();
    const upstream = new ManualStream();
    const early = ask(upstream.produce, { tags });
    upstream.push('old');
    await early.next();
    await invalidate(llmCache);
    expect(await collect(ask(() => words('new'), { tags }))).toEqual(['new']);
    upstream.push('still old');
    upstream.end();
    expect([(await early.next()).value, (await early.next()).done]).toEqual(['still old', true]);
    expect(await collect(ask(() => words('never'), { tags }))).toEqual(['new']);
    expect(outcomes).toEqual([['miss', true, undefined], ['miss', false, 'invalidated'], ['hit', false, undefined]]);
  });
});

describe('an Observable', () => {
  it('that never completes is served, joined and never stored', async () => {
    const { ask, llmCache } = setUp();
    const endless = new Observable<number>((subscriber) => {
      let count = 0;
      const timer = setInterval(() => subscriber.next(count++), 1);
      return () => clearInterval(timer);
    });
    const [one, other] = [ask(() => endless), ask(() => endless)];
    expect([(await one.next()).value, (await other.next()).value]).toEqual([0, 0]);
    await Promise.all([one.return(undefined), other.return(undefined)]);
    await settled();
    expect(llmCache.stats()).toMatchObject({ upstream: 1, stored: 0 });
  });

  it('of many chunks at once, read slowly, fails its reader rather than fill the memory', async () => {
    const { ask } = setUp({ maxEntryBytes: 1_000 });
    const stream = ask(() => range(0, 1_000_000_000));
    await expect(collect(stream)).rejects.toMatchObject({ code: 'LLM_CACHE_STREAM_LAG' });
  });

});
