import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import type { LlmCache } from 'nestjs-llm-cache';
import { settled } from '../fixtures/deferred.js';
import { collect, ManualStream, setUp, words } from '../fixtures/streams.js';

type Command = { do: 'ask' } | { do: 'read'; who: number; count: number } | { do: 'leave'; who: number } | { do: 'push'; chunk: unknown };

const chunk = fc.oneof(fc.string(), fc.jsonValue({ maxDepth: 2 }), fc.constant({ list: [1, { deep: true }] }));

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ do: 'ask' as const }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), who: fc.nat(8), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), who: fc.nat(8) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('push' as const), chunk }) },
);

interface Reader {
  readonly stream: AsyncGenerator<unknown, undefined>;
  readonly seen: unknown[];
  /** Reads that wait for a chunk. */
  readonly waiting: Array<Promise<void>>;
  left: boolean;
}

/** One stream that is read by many, each as it likes. */
async function play(commands: Command[], spoil: boolean): Promise<{ readers: Reader[]; pushed: unknown[]; upstream: ManualStream; llmCache: LlmCache }> {
  const { ask, llmCache } = setUp();
  const upstream = new ManualStream();
  const pushed: unknown[] = [];
  const open = (): Reader => ({ stream: ask(upstream.produce), seen: [], waiting: [], left: false });
  const take = (reader: Reader): Promise<void> =>
    reader.stream.next().then(({ done, value }) => {
      if (done) return;
      reader.seen.push(structuredClone(value));
      if (spoil && typeof value === 'object' && value !== null) Object.assign(value, { spoilt: true });
    });
  // One reader who never leaves, so that the stream is one and the same throughout.
  const readers = [open()];
  readers[0]!.waiting.push(take(readers[0]!));
  for (const given of commands) {
    if (given.do === 'ask') readers.push(open());
    else if (given.do === 'push') {
      const mine = structuredClone(given.chunk);
      pushed.push(structuredClone(given.chunk));
      upstream.push(mine);
      await settled();
      const isOut = upstream.pulled >= pushed.length; // what nobody has pulled yet is still the producer's own
      if (spoil && isOut && typeof mine === 'object' && mine !== null) Object.assign(mine, { spoilt: true });
    } else {
      const reader = readers[given.who % readers.length]!;
      if (reader.left) continue;
      if (given.do === 'read') for (let count = 0; count < given.count; count++) reader.waiting.push(take(reader));
      else if (reader !== readers[0]) {
        reader.left = true;
        await reader.stream.return(undefined);
      }
    }
    await settled();
  }
  upstream.end();
  await Promise.all(
    readers.map(async (reader) => {
      if (!reader.left) for await (const rest of reader.stream) reader.seen.push(rest);
      await Promise.all(reader.waiting);
    }),
  );
  return { readers, pushed, upstream, llmCache };
}

describe('a stream with any number of readers', () => {
  it.each([
    ['as it is', false],
    ['whatever the producer and the first to get a chunk do to it', true],
  ])('gives each every chunk once and in order, %s; a reader who leaves has a beginning of it', async (_case, spoil) => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 25 }), async (commands) => {
        const { readers, pushed, upstream } = await play(commands, spoil);
        for (const { seen, left } of readers) expect(seen).toEqual(left ? pushed.slice(0, seen.length) : pushed);
        expect(upstream.starts).toBe(1);
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  it('is stored whole, whoever left it meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 15 }), async (commands) => {
        const { pushed, llmCache } = await play(commands, false);
        const replayed = await collect(llmCache.wrapStream({ name: 'Tickets.reply', input: 'question' }, () => words('made anew')));
        // What adds up to nothing, or holds an error, is no answer to keep.
        expect([JSON.stringify(pushed), '["made anew"]']).toContain(JSON.stringify(replayed));
        if (pushed.some((given) => typeof given === 'string' && given !== '') && pushed.every((given) => typeof given === 'string')) {
          expect(replayed).toEqual(pushed);
        }
      }),
      { numRuns: 40 },
    );
  }, 60_000);
});
