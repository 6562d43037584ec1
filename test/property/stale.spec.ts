import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { LlmCache, memoryStore } from 'nestjs-llm-cache';
import { FakeClock } from 'nestjs-llm-cache/testing';
import { type Deferred, deferred, settled } from '../fixtures/deferred.js';
import { outage } from '../fixtures/stale.js';
import { troubledStore } from '../fixtures/stores.js';

type Command = { do: 'ask'; of: 0 | 1; noCache: boolean } | { do: 'answer' } | { do: 'fail' } | { do: 'pass time'; minutes: number };

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('ask' as const), of: fc.constantFrom(0 as const, 1 as const), noCache: fc.boolean() }) },
  { weight: 4, arbitrary: fc.constant({ do: 'answer' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'fail' as const }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass time' as const), minutes: fc.constantFrom(1, 30, 60, 90) }) },
);

interface UpstreamCall {
  readonly of: number;
  readonly startedAt: number;
  readonly answer: Deferred<number>;
}

/** Two processes over one slow store. An answer is the time its upstream call was started at. */
async function run(commands: readonly Command[]): Promise<void> {
  const clock = new FakeClock();
  const shared = troubledStore();
  const caches = [0, 1].map(() => new LlmCache({ ttl: '1h', jitter: 0, staleWhileRevalidate: '2h', staleIfError: '2h', singleFlight: { timeout: '1d' }, stores: [memoryStore(), shared.keyv] }, clock));
  const flying: UpstreamCall[] = [];
  const asks: Promise<unknown>[] = [];
  const latest: UpstreamCall[] = [];
  let time = 0;
  const answered = [-1, -1];
  for (const step of commands) {
    time++;
    if (step.do === 'ask') {
      const { of, noCache } = step;
      const newest = answered[of]!;
      const produce = (): Promise<number> => {
        const call = { of, startedAt: time, answer: deferred<number>() };
        // Only who asks for it adds a call to the one under way.
        if (!noCache && flying.includes(latest[of]!)) asks.push(Promise.reject(new Error('two calls under way')));
        flying.push((latest[of] = call));
        return call.answer.promise;
      };
      asks.push(
        caches[of]!.wrap({ name: 'ask', input: 'x' }, produce, { noCache }).then(
          // What this process has seen answered is never followed by something older.
          (answer) => expect(answer).toBeGreaterThanOrEqual(newest),
          (error: unknown) => expect((error as { status: number }).status).toBe(503),
        ),
      );
    } else if (step.do === 'pass time') clock.advance(`${step.minutes}m`);
    else {
      const call = flying.shift();
      if (call === undefined) continue;
      if (step.do === 'fail') call.answer.reject(outage());
      else {
        call.answer.resolve(call.startedAt);
        answered[call.of] = Math.max(answered[call.of]!, call.startedAt);
      }
    }
    await settled();
  }
  while (flying.length > 0) {
    const call = flying.shift()!;
    call.answer.resolve(call.startedAt);
    await settled();
  }
  await Promise.all(asks);
}

describe('stale answers under any interleaving', () => {
  it('one refresh of a key runs at a time, and no answer is followed by an older one', async () => {
    await fc.assert(fc.asyncProperty(fc.array(command, { minLength: 3, maxLength: 25 }), run), { numRuns: 60 });
  });
});
