import { afterEach, expect, it } from '@jest/globals';
import { NotFoundException } from '@nestjs/common';
import { type CacheOutcome, type CallOptions, type LlmCache, LlmUpstreamError } from 'nestjs-llm-cache';
import { deferred, settled, type Deferred } from '../../fixtures/deferred.js';
import { Processes } from '../../fixtures/redis/processes.js';
import { describeWithServers, openServer, until } from '../../fixtures/redis/with-redis.js';

const parts = { name: 'Test.ask', input: 'question' };

describeWithServers('one upstream call for all processes', () => {
  const redis = openServer();
  afterEach(() => redis.server.thaw());
  const processes = new Processes(() => redis.server);

  const process = (options: Parameters<Processes['start']>[0] = {}) => {
    const cache = processes.start(options);
    const outcomes: CacheOutcome[] = [];
    let asked = 0;
    return {
      cache,
      outcomes,
      get asked() {
        return asked;
      },
      ask: (produce: (signal: AbortSignal) => unknown, call: CallOptions = {}): Promise<unknown> =>
        cache.wrap(parts, ({ signal }) => (asked++, produce(signal)), { onOutcome: (outcome) => outcomes.push(outcome), ...call }),
      last: () => outcomes.at(-1),
    };
  };
  const leaseKey = async (): Promise<string | undefined> => ((await redis.client.sendCommand(['KEYS', `{${processes.namespace}:*:lease`])) as string[])[0];
  /** Who has leases; `*` at the end says that somebody waits. */
  const holders = async (): Promise<string[]> => {
    const keys = (await redis.client.sendCommand(['KEYS', `{${processes.namespace}:*:lease`])) as string[];
    return (await Promise.all(keys.map((key) => redis.client.get(key)))).filter((value) => value !== null);
  };
  const holder = async (): Promise<string> => (await holders())[0] ?? '';
  const isTaken = (): Promise<void> => until(async () => (await holder()) !== '');
  /** A call of a process that has the lease, until `upstream` answers. */
  const underWay = async ({ ask }: ReturnType<typeof process>): Promise<{ upstream: Deferred<string>; first: Promise<unknown> }> => {
    const upstream = deferred<string>();
    const first = ask(() => upstream.promise);
    await isTaken();
    return { upstream, first };
  };
  const somebodyWaits = (): Promise<void> => until(async () => (await holders()).some((value) => value.endsWith('*')));

  it('processes that ask at the same time share one call, and its answer', async () => {
    const fleet = [process(), process(), process(), process()];
    const upstream = deferred<string>();
    const answers = fleet.flatMap(({ ask }) => [ask(() => upstream.promise), ask(() => upstream.promise)]);
    await somebodyWaits();
    upstream.resolve('answer');
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['answer']));
    expect(fleet.reduce((sum, { asked }) => sum + asked, 0)).toBe(1);
    const statuses = fleet.flatMap(({ outcomes }) => outcomes.map(({ status }) => status)).sort();
    expect(statuses).toEqual([...Array<string>(7).fill('coalesced'), 'miss']);
    expect(await holder()).toBe('');
  });

  it('the books of the fleet have one call, and its tokens once', async () => {
    const answer = { id: '1', object: 'chat.completion', choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'yes' } }], usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } };
    const [one, other] = [process(), process()];
    const upstream = deferred<unknown>();
    const answers = [one.ask(() => upstream.promise), other.ask(() => upstream.promise)];
    await somebodyWaits();
    upstream.resolve(answer);
    await Promise.all(answers);
    const books = [one, other].map(({ cache }) => cache.stats());
    expect(books.reduce((sum, { upstream: calls }) => sum + calls, 0)).toBe(1);
    expect(books.map(({ tokens }) => tokens.spent).sort((a, b) => a - b)).toEqual([0, 10]);
    expect(books.map(({ tokens }) => tokens.saved).sort((a, b) => a - b)).toEqual([0, 10]);
  });

  it('whoever waited has the answer in its own memory', async () => {
    const [one, other] = [process(), process()];
    const { upstream, first } = await underWay(one);
    const second = other.ask(() => 'never');
    await somebodyWaits();
    upstream.resolve('answer');
    await Promise.all([first, second]);
    await other.ask(() => 'never');
    expect(other.last()).toMatchObject({ status: 'hit', tier: 0 });
  });

  it('a failure that others would get too is theirs as well, by status and retry-after, without its text', async () => {
    const [one, other, third] = [process(), process(), process()];
    const upstream = deferred<never>();
    const first = one.ask(() => upstream.promise).catch((error: unknown) => error);
    await isTaken();
    const rest = [other.ask(() => 'never'), third.ask(() => 'never')].map((asked) => asked.catch((error: unknown) => error));
    await somebodyWaits();
    await settled();
    const error = Object.assign(new Error('no more of: question'), { name: 'RateLimitError', status: 429, headers: { 'retry-after': '7' } });
    await until(() => isWaiting(third.cache));
    upstream.reject(error);
    expect(await first).toBe(error);
    for (const shared of await Promise.all(rest)) {
      expect(LlmUpstreamError.isInstance(shared)).toBe(true);
      expect(shared).toMatchObject({ code: 'LLM_CACHE_UPSTREAM', status: 429, headers: { 'retry-after': '7' } });
      expect((shared as Error).cause).toEqual({ name: 'RateLimitError', status: 429, retryAfter: '7' });
      expect((shared as Error).message).not.toContain('no more of');
    }
    expect([other.asked, third.asked]).toEqual([0, 0]);
    expect(other.last()).toMatchObject({ status: 'coalesced', reason: 'error' });
    // Whoever asks from now on tries anew.
    expect(await other.ask(() => 'answer')).toBe('answer');
  });

  it('a call around one that shared a failure has failed itself', async () => {
    const [one, other] = [process(), process()];
    const upstream = deferred<never>();
    const first = one.ask(() => upstream.promise).catch(() => 'failed');
    await isTaken();
    const outer: CacheOutcome[] = [];
    const around = other.cache.wrap({ name: 'Test.outer', input: '' }, () => other.ask(() => 'never'), { onOutcome: (outcome) => outer.push(outcome) });
    await somebodyWaits();
    upstream.reject(Object.assign(new Error('out of order'), { status: 503 }));
    await expect(around).rejects.toMatchObject({ code: 'LLM_CACHE_UPSTREAM' });
    expect(await first).toBe('failed');
    expect([other.last(), ...outer]).toMatchObject([{ status: 'coalesced' }, { status: 'miss', reason: 'error' }]);
  });

  it.each([
    ['a mistake in the code of one process', () => Promise.reject(new TypeError('x is not a function'))],
    ['a credential that upstream refuses', () => Promise.reject(Object.assign(new Error('Incorrect API key'), { status: 401 }))],
    ["an exception of the app's own", () => Promise.reject(new NotFoundException('no such ticket'))],
    ['an answer that is not stored', () => ''],
  ])('%s is no reason to wait in a line: the others ask for themselves', async (_, produce) => {
    const fleet = [process(), process(), process()];
    const gate = deferred();
    const first = fleet[0]!.ask(() => gate.promise.then(produce)).catch(() => 'failed');
    await isTaken();
    const own = deferred<string>();
    const rest = fleet.slice(1).map(({ ask }) => ask(() => own.promise));
    await somebodyWaits();
    await until(() => isWaiting(fleet[2]!.cache));
    gate.resolve();
    await first;
    await until(() => fleet[1]!.asked === 1 && fleet[2]!.asked === 1); // at the same time
    own.resolve('answer');
    expect(await Promise.all(rest)).toEqual(['answer', 'answer']);
  });

  it('a call that all its callers have left gives its turn to the next process', async () => {
    const [one, other] = [process(), process()];
    const leaving = new AbortController();
    const first = one.ask(() => new Promise(() => undefined), { signal: leaving.signal }).catch(() => 'left');
    await isTaken();
    const second = other.ask(() => 'answer');
    await somebodyWaits();
    leaving.abort();
    expect([await first, await second]).toEqual(['left', 'answer']);
    expect(other.last()).toMatchObject({ status: 'miss', stored: true });
  });

  it('a caller that leaves while it waits rejects with its reason, and harms nobody', async () => {
    const [one, other] = [process(), process()];
    const { upstream, first } = await underWay(one);
    const leaving = new AbortController();
    const second = other.ask(() => 'never', { signal: leaving.signal });
    await somebodyWaits();
    leaving.abort(new Error('had enough'));
    await expect(second).rejects.toThrow('had enough');
    upstream.resolve('answer');
    expect(await first).toBe('answer');
    expect(one.last()).toMatchObject({ stored: true });
  });

  it('the turn of a process that has died is free when its lease ends', async () => {
    const dead = process({ singleFlight: { lease: '300ms' } });
    const other = process();
    void dead.ask(() => new Promise(() => undefined)).catch(() => undefined);
    await isTaken();
    playDead(dead.cache);
    expect(await other.ask(() => 'answer')).toBe('answer');
    expect(other.asked).toBe(1);
  });

  it('a call that takes longer than the lease keeps its turn', async () => {
    const [one, other] = [process({ singleFlight: { lease: '900ms' } }), process()];
    const { upstream, first } = await underWay(one);
    const second = other.ask(() => 'never');
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    upstream.resolve('answer');
    expect(await Promise.all([first, second])).toEqual(['answer', 'answer']);
  });

  it('a leader that has lost its turn answers its callers and stores nothing', async () => {
    const one = process();
    const { upstream, first } = await underWay(one);
    await redis.client.sendCommand(['SET', (await leaseKey())!, 'another', 'PX', '60000']); // as while it was frozen
    upstream.resolve('old');
    expect(await first).toBe('old');
    expect(one.last()).toMatchObject({ status: 'miss', stored: false, reason: 'lease-lost' });
    expect(await one.cache.wrap(parts, () => 'x', { onlyIfCached: true }).catch(({ code }) => code)).toBe('LLM_CACHE_MISS');
  });

  it('an entry that is removed while another process computes it stays removed, though no message arrives', async () => {
    const [one, other] = [process({ maxInvalidationDelay: '10m' }), process()];
    const { upstream, first } = await underWay(one);
    await redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await other.cache.invalidate({ key: parts });
    upstream.resolve('old');
    expect(await first).toBe('old');
    expect(await other.ask(() => 'new')).toBe('new');
    expect(await one.ask(() => 'newer')).toBe('new');
  });

  it.each<[string, ConstructorParameters<typeof LlmCache>[0], CallOptions]>([
    ['distributed: false', { singleFlight: { distributed: false } }, {}],
    ['maxAge: 0', {}, { maxAge: 0 }],
    ['a leader with noStore', {}, { noStore: true }],
  ])('so it does where the call takes no turn: %s', async (_, options, control) => {
    const [one, other] = [process({ maxInvalidationDelay: '10m', ...options }), process()];
    const first = deferred<string>();
    const leading = one.ask(() => first.promise, control);
    await until(() => one.asked === 1);
    const joining = control.noStore ? one.ask(() => 'never') : undefined;
    await settled();
    await redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await other.cache.invalidate({ key: parts });
    first.resolve('old');
    expect(await Promise.all([leading, joining ?? 'old'])).toEqual(['old', 'old']);
    expect(await other.ask(() => 'new')).toBe('new');
    expect(await one.ask(() => 'newer')).toBe('new');
  });

  it('so it does where the turn of another process was not for others', async () => {
    const [one, other, third] = [process(), process({ maxInvalidationDelay: '10m' }), process()];
    const refused = deferred<string>();
    const answer = deferred<string>();
    const leading = one.ask(() => refused.promise);
    await isTaken();
    const following = other.ask(() => answer.promise);
    await somebodyWaits();
    refused.resolve('');
    await leading;
    await until(() => other.asked === 1);
    await redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await third.cache.invalidate({ key: parts });
    answer.resolve('old');
    expect(await following).toBe('old');
    expect(other.last()).toMatchObject({ stored: false, reason: 'lease-lost' });
    expect(await third.ask(() => 'new')).toBe('new');
  });

  it('what takes no turn is stored where the entry was removed before', async () => {
    const one = process({ singleFlight: { distributed: false } });
    await one.ask(() => 'old');
    await process().cache.invalidate({ key: parts });
    expect(await one.ask(() => 'new', { maxAge: 0 })).toBe('new');
    expect(one.last()).toMatchObject({ stored: true });
    expect(await process().ask(() => 'never')).toBe('new');
  });

  it.each<[string, (cache: LlmCache) => Promise<void>]>([
    ['clear', (cache) => cache.clear()],
    ['invalidate by key', (cache) => cache.invalidate({ key: parts })],
  ])('after %s nobody waits for a call of before: they take turns anew, without it', async (_, invalidate) => {
    const [one, other, third] = [process(), process(), process()];
    const obsolete = deferred<string>();
    const first = one.ask(() => obsolete.promise);
    await isTaken();
    const waiting = other.ask(() => 'new');
    await somebodyWaits();
    await invalidate(third.cache);
    expect(await waiting).toBe('new'); // it asked before, so this is not stored
    expect(await third.ask(() => 'newer')).toBe('newer');
    obsolete.resolve('old');
    expect(await first).toBe('old');
    expect(one.last()).toMatchObject({ stored: false, reason: 'invalidated' });
    expect(await process().ask(() => 'never')).toBe('newer');
  });

  it.each([
    ['the same process', false],
    ['another process', true],
  ])('whoever asks after an invalidation does not wait for an older call of %s', async (_, elsewhere) => {
    const one = process();
    const asking = elsewhere ? process() : one;
    const { upstream, first } = await underWay(one);
    await asking.cache.clear();
    expect(await asking.ask(() => 'new')).toBe('new');
    expect(asking.last()).toMatchObject({ stored: true });
    upstream.resolve('old');
    expect(await first).toBe('old');
    expect(await process().ask(() => 'never')).toBe('new');
  });

  it('nobody waits for a stream that has become too large to be stored', async () => {
    const [one, other] = [process({ maxEntryBytes: 100 }), process()];
    const gate = deferred();
    const streamTo = ({ cache }: ReturnType<typeof process>): AsyncIterator<string> =>
      iteratorOf(
        cache.wrapStream(parts, async function* () {
          yield 'x'.repeat(200);
          await gate.promise;
        }),
      );
    const readers = [one, one, other].map(streamTo);
    for (const reader of readers) expect((await reader.next()).done).toBe(false);
    gate.resolve();
    for (const reader of readers) expect((await reader.next()).done).toBe(true);
  });

  it('noCache waits for nobody, and what was under way elsewhere does not replace its answer', async () => {
    const [one, other] = [process(), process()];
    const { upstream, first } = await underWay(one);
    expect(await other.ask(() => 'new', { noCache: true })).toBe('new');
    upstream.resolve('old');
    expect(await first).toBe('old');
    expect(one.last()).toMatchObject({ stored: false, reason: 'lease-lost' });
    expect(await process().ask(() => 'never')).toBe('new');
  });

  it('noStore takes no turn and has nobody wait', async () => {
    const [one, other] = [process(), process()];
    const upstream = deferred<string>();
    const first = one.ask(() => upstream.promise, { noStore: true });
    await until(() => one.asked === 1);
    expect(await other.ask(() => 'answer')).toBe('answer');
    upstream.resolve('own');
    expect(await first).toBe('own');
  });

  it('maxAge: 0 takes no turn: no stored answer will do', async () => {
    const [one, other] = [process(), process()];
    const { upstream, first } = await underWay(one);
    expect(await other.ask(() => 'own', { maxAge: 0 })).toBe('own');
    upstream.resolve('answer');
    expect(await first).toBe('answer');
  });

  it('a follower whose deadline passes asks for itself', async () => {
    const [one, other] = [process(), process({ singleFlight: { timeout: '200ms' } })];
    const { upstream, first } = await underWay(one);
    expect(await other.ask(() => 'own')).toBe('own');
    upstream.resolve('answer');
    expect(await first).toBe('answer');
  });

  it('a process whose follower has waited long enough does not wait for its own older call', async () => {
    const one = process({ singleFlight: { timeout: '100ms' } });
    const { upstream, first } = await underWay(one);
    expect(await one.ask(() => 'second')).toBe('second');
    upstream.resolve('first');
    expect(await first).toBe('first');
    expect(await process().ask(() => 'never')).toBe('second');
  });

  it('who waits is told by a message; where nobody waits there is none', async () => {
    const told: string[] = [];
    const listening = redis.client.duplicate();
    await listening.connect();
    await listening.subscribe(`${processes.namespace}:leases`, (key) => told.push(key));
    const [one, other] = [process(), process()];
    await one.cache.wrap({ ...parts, input: 'alone' }, () => 'answer');
    const upstream = deferred<string>();
    const answers = [one, other].map(({ ask }) => ask(() => upstream.promise));
    await somebodyWaits();
    upstream.resolve('answer');
    await Promise.all(answers);
    await until(() => told.length > 0);
    expect(told).toEqual([one.cache.keyFor(parts)]);
    listening.destroy();
  });

  it('a lost message delays a follower by half a second at most', async () => {
    const [one, other] = [process(), process()];
    const { upstream, first } = await underWay(one);
    const second = other.ask(() => 'never');
    await somebodyWaits();
    await redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    upstream.resolve('answer');
    const answeredAtMs = performance.now();
    expect(await Promise.all([first, second])).toEqual(['answer', 'answer']);
    expect(performance.now() - answeredAtMs).toBeLessThan(5_000); // its lease is twice as long
    expect(other.asked).toBe(0);
  });

  it('without the store each process computes on its own', async () => {
    const fleet = [process({ storeTimeout: '50ms' }), process({ storeTimeout: '50ms' })];
    await Promise.all(fleet.map(({ cache }) => cache.wrap({ ...parts, input: 'warm' }, () => 'up')));
    redis.server.freeze();
    const answers = await Promise.all(fleet.map(({ ask }, index) => ask(() => `answer ${index}`)));
    expect(answers).toEqual(['answer 0', 'answer 1']);
    redis.server.thaw();
  });

  it('distributed: false takes no turns', async () => {
    const fleet = [process({ singleFlight: { distributed: false } }), process({ singleFlight: { distributed: false } })];
    const upstream = deferred<string>();
    const answers = fleet.map(({ ask }) => ask(() => upstream.promise));
    await until(() => fleet.every(({ asked }) => asked === 1));
    expect(await leaseKey()).toBeUndefined();
    upstream.resolve('answer');
    await Promise.all(answers);
  });

  it('a stream has one leader; the others read what it has stored', async () => {
    const [one, other] = [process(), process()];
    const gate = deferred();
    let asked = 0;
    const stream = async function* () {
      asked++;
      yield 'a';
      await gate.promise;
      yield 'b';
    };
    const read = async ({ cache }: ReturnType<typeof process>): Promise<unknown[]> => {
      const chunks: unknown[] = [];
      for await (const chunk of cache.wrapStream(parts, stream)) chunks.push(chunk);
      return chunks;
    };
    const first = read(one);
    await isTaken();
    const second = read(other);
    await somebodyWaits();
    gate.resolve();
    expect(await Promise.all([first, second])).toEqual([['a', 'b'], ['a', 'b']]);
    expect(asked).toBe(1);
  });

  it('one process of the fleet renews what is stale', async () => {
    const options = { ttl: '50ms', jitter: 0, staleWhileRevalidate: '1h' } as const;
    const [one, other] = [process(options), process(options)];
    await one.ask(() => 'old');
    await new Promise((resolve) => setTimeout(resolve, 60));
    const upstream = deferred<string>();
    expect(await Promise.all([one.ask(() => upstream.promise), other.ask(() => upstream.promise)])).toEqual(['old', 'old']);
    await somebodyWaits();
    upstream.resolve('new');
    await until(async () => (await other.cache.wrap(parts, () => 'never')) === 'new');
    expect(one.asked + other.asked).toBe(2);
  });

  it('after the app of a leader was closed one of those who wait asks', async () => {
    const [one, other, third] = [process(), process(), process()];
    const late = deferred<string>();
    const upstream = deferred<string>();
    const first = one.ask(() => late.promise);
    await isTaken();
    const rest = [other, third].map(({ ask }) => ask(() => upstream.promise));
    await until(() => [other, third].every(({ cache }) => isWaiting(cache)));
    await somebodyWaits();
    await settled();
    await one.cache.close();
    await until(() => other.asked + third.asked > 0);
    await somebodyWaits();
    upstream.resolve('answer');
    expect(await Promise.all(rest)).toEqual(['answer', 'answer']);
    expect(other.asked + third.asked).toBe(1);
    late.resolve('late');
    expect(await first).toBe('late');
  });

  it.each(['knows the script', 'has forgotten the script'])('a closed app gives its turns up, at once, to a server that %s', async (state) => {
    const [one, other] = [process(), process()];
    const { upstream, first } = await underWay(one);
    const second = other.ask(() => 'answer');
    await somebodyWaits();
    if (state === 'has forgotten the script') await redis.client.sendCommand(['SCRIPT', 'FLUSH']);
    const closedAt = performance.now();
    await one.cache.close();
    expect(await second).toBe('answer');
    expect(performance.now() - closedAt).toBeLessThan(3_000);
    upstream.resolve('late');
    expect(await first).toBe('late');
  });

  it('a turn that is granted after the app was closed is given up', async () => {
    const one = process();
    await one.cache.wrap({ ...parts, input: 'warm' }, () => 'up');
    const upstream = deferred<string>();
    await redis.client.sendCommand(['CLIENT', 'PAUSE', '2000', 'WRITE']);
    const first = one.ask(() => upstream.promise);
    await until(() => isWaiting(one.cache));
    const closing = one.cache.close();
    await redis.client.sendCommand(['CLIENT', 'UNPAUSE']);
    await closing;
    await until(() => one.asked === 1);
    await until(async () => (await holder()) === '');
    upstream.resolve('late');
    expect(await first).toBe('late');
  });
});

/** Whether a call of this process waits for another's turn. */
function isWaiting(cache: LlmCache): boolean {
  const { turns } = cache as unknown as { turns: { bells: { hanging: Map<string, unknown> } } };
  return turns.bells.hanging.size > 0;
}

/** Has a process never extend its leases again. */
function playDead(cache: LlmCache): void {
  const { turns } = cache as unknown as { turns: { held: Set<{ stopBeating(): void }> } };
  for (const lease of turns.held) lease.stopBeating();
}

function iteratorOf<T>(stream: AsyncIterable<T>): AsyncIterator<T> {
  return stream[Symbol.asyncIterator]();
}
