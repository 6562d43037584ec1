import { describe, expect, it } from '@jest/globals';
import { StreamLagError } from 'nestjs-llm-cache';
import { FakeClock } from 'nestjs-llm-cache/testing';
import { settled } from '../../fixtures/deferred.js';
import { collect, ManualStream, setUp, words } from '../../fixtures/streams.js';

/** Reads on until something else is asked of it. */
function reading(stream: AsyncIterable<unknown>): { chunks: unknown[]; ended: Promise<unknown>; state: () => string } {
  const chunks: unknown[] = [];
  let state = 'reading';
  const ended = (async () => {
    try {
      for await (const chunk of stream) chunks.push(chunk);
      return (state = 'ended');
    } catch (error) {
      state = 'failed';
      return error;
    }
  })();
  return { chunks, ended, state: () => state };
}

describe('a caller who arrives while a stream runs', () => {
  it('gets every chunk so far, in order, then follows live; one upstream call', async () => {
    const { ask, outcomes } = setUp();
    const upstream = new ManualStream();
    const early = reading(ask(upstream.produce));
    upstream.push('a', 'b');
    await settled();
    const late = reading(ask(upstream.produce));
    await settled();
    expect([early.chunks, late.chunks]).toEqual([['a', 'b'], ['a', 'b']]);
    upstream.push('c');
    await settled();
    expect([early.chunks, late.chunks]).toEqual([['a', 'b', 'c'], ['a', 'b', 'c']]);
    upstream.end();
    expect([await early.ended, await late.ended]).toEqual(['ended', 'ended']);
    expect(upstream.starts).toBe(1);
    expect(outcomes).toEqual([['miss', true, undefined], ['coalesced', false, undefined]]);
  });

  it('two hundred of them: one upstream call, no chunk missing or doubled', async () => {
    const { ask, llmCache } = setUp();
    const upstream = new ManualStream();
    const expected = Array.from({ length: 20 }, (_, index) => ({ index }));
    const readers = [];
    for (let place = 0; place < 20; place++) {
      for (let count = 0; count < 10; count++) readers.push(reading(ask(upstream.produce)));
      upstream.push(expected[place]);
      await settled();
    }
    upstream.end();
    await Promise.all(readers.map(({ ended }) => ended));
    for (const { chunks } of readers) expect(chunks).toEqual(expected);
    expect(upstream.starts).toBe(1);
    expect(llmCache.stats()).toMatchObject({ misses: 1, coalesced: 199, upstream: 1 });
  });

  it('gets a chunk of its own where both have waited for it', async () => {
    const { ask } = setUp();
    const upstream = new ManualStream();
    const [leader, follower] = [ask(upstream.produce), ask(upstream.produce)];
    const waiting = [leader.next(), follower.next()];
    await settled();
    upstream.push({ list: [1] });
    const [first, second] = (await Promise.all(waiting)).map(({ value }) => value as { list: number[] });
    first!.list.push(2);
    expect(second).toEqual({ list: [1] });
    upstream.end();
    await Promise.all([leader.next(), follower.next()]);
  });

  it('never sees what another reader, or the producer, did to a chunk', async () => {
    const { ask } = setUp();
    const upstream = new ManualStream();
    const leader = ask(upstream.produce);
    const chunk = { list: [1] };
    upstream.push(chunk);
    ((await leader.next()).value as typeof chunk).list.push(2); // the leader
    chunk.list.push(3); // the producer
    const follower = ask(upstream.produce);
    const seen = (await follower.next()).value as typeof chunk;
    expect(seen).toEqual({ list: [1] });
    seen.list.push(4); // a follower
    upstream.end();
    expect(await collect(ask(upstream.produce))).toEqual([{ list: [1] }]);
    await Promise.all([leader.next(), follower.next()]);
    expect(await collect(ask(upstream.produce))).toEqual([{ list: [1] }]);
  });

  it('shares the error after the chunks before it; the next caller starts anew', async () => {
    const { ask, outcomes } = setUp();
    const upstream = new ManualStream();
    const readers = [reading(ask(upstream.produce)), reading(ask(upstream.produce))];
    upstream.push('a');
    await settled();
    readers.push(reading(ask(upstream.produce)));
    const boom = new Error('boom');
    upstream.fail(boom);
    for (const { ended, chunks } of readers) {
      expect(await ended).toBe(boom);
      expect(chunks).toEqual(['a']);
    }
    expect(await collect(ask(() => words('new')))).toEqual(['new']);
    expect(outcomes.map(([status, , reason]) => [status, reason])).toEqual([
      ['miss', 'error'], ['coalesced', 'error'], ['coalesced', 'error'], ['miss', undefined],
    ]);
  });

  it('with noCache starts a stream of its own, which others then join', async () => {
    const { ask } = setUp();
    const [older, newer] = [new ManualStream(), new ManualStream()];
    const first = reading(ask(older.produce));
    await settled();
    const own = reading(ask(newer.produce, { noCache: true }));
    await settled();
    const joined = reading(ask(older.produce));
    newer.push('new');
    newer.end();
    older.push('old');
    older.end();
    await Promise.all([first.ended, own.ended, joined.ended]);
    expect([first.chunks, own.chunks, joined.chunks]).toEqual([['old'], ['new'], ['new']]);
    expect(await collect(ask(() => words('never')))).toEqual(['new']);
  });

  it('starts its own when the first chunk takes longer than singleFlight.timeout; a stream that flows is waited for', async () => {
    const clock = new FakeClock();
    const { ask, outcomes } = setUp({ singleFlight: { timeout: '10s' } }, clock);
    const [stuck, second] = [new ManualStream(), new ManualStream()];
    const leader = reading(ask(stuck.produce));
    await settled();
    const follower = reading(ask(second.produce));
    await settled();
    clock.advance('10s');
    await settled();
    expect(second.starts).toBe(1);
    second.push('a');
    await settled();
    const third = reading(ask(() => words('never')));
    await settled();
    clock.advance('1h');
    second.push('b');
    second.end();
    expect([await follower.ended, await third.ended]).toEqual(['ended', 'ended']);
    expect([follower.chunks, third.chunks]).toEqual([['a', 'b'], ['a', 'b']]);
    stuck.end();
    await leader.ended;
    expect(outcomes.map(([status]) => status).sort()).toEqual(['coalesced', 'miss', 'miss']);
  });

  it('of a chunk that cannot be copied: who has read none starts a stream of its own', async () => {
    const { ask } = setUp();
    class Token {
      readonly text = 'a';
    }
    const [first, second] = [new ManualStream(), new ManualStream()];
    const leader = reading(ask(first.produce));
    const follower = reading(ask(second.produce));
    await settled();
    first.push(new Token());
    await settled();
    expect([first.starts, second.starts]).toEqual([1, 1]);
    first.end();
    second.end();
    await Promise.all([leader.ended, follower.ended]);
    expect(leader.chunks).toHaveLength(1);
  });
});

describe('readers at their own pace', () => {
  it('a stopped one does not stall the others, nor what is stored', async () => {
    const { ask, outcomes } = setUp();
    const upstream = new ManualStream();
    const stopped = ask(upstream.produce);
    upstream.push('a', 'b', 'c');
    upstream.end();
    await stopped.next();
    const fast = reading(ask(upstream.produce));
    expect(await fast.ended).toBe('ended');
    expect(fast.chunks).toEqual(['a', 'b', 'c']);
    expect(outcomes.map(([status, stored]) => [status, stored])).toEqual([['miss', true], ['coalesced', false]]);
    expect([(await stopped.next()).value, (await stopped.next()).value, (await stopped.next()).done]).toEqual(['b', 'c', true]);
  });

  it('one that falls more than maxEntryBytes behind fails, the others go on', async () => {
    const { ask, llmCache } = setUp({ maxEntryBytes: 1_000 });
    const upstream = new ManualStream();
    const stopped = ask(upstream.produce);
    upstream.push('first');
    await stopped.next();
    const fast = reading(ask(upstream.produce));
    for (let count = 0; count < 10; count++) {
      upstream.push('x'.repeat(300));
      await settled();
    }
    const error = await stopped.next().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StreamLagError);
    expect(StreamLagError.isInstance(error)).toBe(true);
    upstream.end();
    expect(await fast.ended).toBe('ended');
    expect(fast.chunks).toHaveLength(11);
    expect(llmCache.stats()).toMatchObject({ stored: 0, upstream: 1 });
  });

  it('a single chunk larger than maxEntryBytes reaches those who keep up', async () => {
    const { ask } = setUp({ maxEntryBytes: 100 });
    expect(await collect(ask(() => words('x'.repeat(1_000), 'y'.repeat(1_000))))).toHaveLength(2);
  });

  it('late callers of an answer above maxEntryBytes start their own', async () => {
    const { ask } = setUp({ maxEntryBytes: 1_000 });
    const [first, second] = [new ManualStream(), new ManualStream()];
    const leader = reading(ask(first.produce));
    first.push('x'.repeat(600), 'y'.repeat(600));
    await settled();
    const late = reading(ask(second.produce));
    second.push('own');
    second.end();
    expect(await late.ended).toBe('ended');
    expect(late.chunks).toEqual(['own']);
    first.end();
    await leader.ended;
  });

  it('what nobody has still to read of a large stream is let go', async () => {
    const { ask } = setUp({ maxEntryBytes: 10_000 });
    const chunk = 'x'.repeat(5_000);
    let count = 0;
    for await (const _ of ask(async function* () { for (;;) yield chunk; })) if (++count === 20_000) break; // 100 MB
    expect(count).toBe(20_000);
  });
});
