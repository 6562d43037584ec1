import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Keyv } from 'keyv';
import { attachLlmCache, CacheLlm, type CacheOutcome, LlmCache, LlmCacheConfigError, LlmService, memoryStore, withCacheControl } from 'nestjs-llm-cache';
import { FakeClock, FakeLlmProvider } from 'nestjs-llm-cache/testing';
import { deferred, settled } from '../../fixtures/deferred.js';
import { troubledStore } from '../../fixtures/stores.js';

const parts = { name: 'Test.ask', input: 1 };

/** Decorates a method of a plain class, as a JavaScript user does; nothing is known of what it returns. */
function decorate(prototype: object, property: string, options = {}): void {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, property)!;
  CacheLlm(options)(prototype, property, descriptor as never);
  Object.defineProperty(prototype, property, descriptor);
}

const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};

let unhandled: unknown[];
const listen = (reason: unknown) => unhandled.push(reason);
beforeEach(() => {
  unhandled = [];
  process.on('unhandledRejection', listen);
});
afterEach(async () => {
  await settled();
  process.off('unhandledRejection', listen);
  expect(unhandled).toEqual([]);
});

describe('callers who go on writing to what they gave', () => {
  it('send LlmService what the key was derived from', async () => {
    const provider = new FakeLlmProvider(({ messages }) => messages.map(({ content }) => content as string).join('|'));
    const llm = new LlmService(new LlmCache(), provider);
    const messages = [{ role: 'user', content: 'A' }];
    const first = llm.text(messages);
    messages.push({ role: 'user', content: 'B' });
    expect(await first).toBe('A');
    expect(await llm.text([{ role: 'user', content: 'A' }])).toBe('A');
    expect(provider.calls).toHaveLength(1);
  });

  it('while a slow store is read, give their answer to nobody else', async () => {
    const store = troubledStore();
    const llmCache = new LlmCache({ stores: store.keyv });
    const read = store.hold('get');
    const input = { text: 'A' };
    const first = llmCache.wrap({ name: 'n', input }, async () => `answer to ${input.text}`);
    const second = llmCache.wrap({ name: 'n', input: { text: 'A' } }, async () => 'answer to A');
    input.text = 'B';
    read.resolve();
    expect(await Promise.all([first, second])).toEqual(['answer to B', 'answer to A']);
  });
});

describe('methods that nothing is known of', () => {
  it('that call each other at the same time do not wait for each other for ever', async () => {
    class Service {
      left = 3;
      a(): Promise<string> {
        return settled().then(() => (this.left-- > 0 ? this.b() : 'A'));
      }
      b(): Promise<string> {
        return settled().then(() => (this.left-- > 0 ? this.a() : 'B'));
      }
    }
    decorate(Service.prototype, 'a');
    decorate(Service.prototype, 'b');
    const service = attachLlmCache(new Service(), new LlmCache());
    expect(await Promise.all([service.a(), service.b()])).toHaveLength(2);
  });

  it('that return a lazy thenable run it once', async () => {
    let runs = 0;
    class Query {
      // oxlint-disable-next-line unicorn/no-thenable -- a query builder's way
      then(resolve: (rows: string) => void): void {
        runs++;
        resolve('rows');
      }
    }
    class Service {
      query() {
        return new Query() as unknown as Promise<string>;
      }
    }
    decorate(Service.prototype, 'query');
    expect(await attachLlmCache(new Service(), new LlmCache()).query()).toBe('rows');
    expect(runs).toBe(1);
  });

  it('that throw at once throw at once, and one that returned nothing once is cached when it returns a promise', async () => {
    let calls = 0;
    class Service {
      ask(question: string): Promise<number> | null {
        if (question === 'wrong') throw new RangeError('wrong');
        return question === '' ? null : Promise.resolve(++calls);
      }
    }
    decorate(Service.prototype, 'ask');
    const service = attachLlmCache(new Service(), new LlmCache());
    expect(() => service.ask('wrong')).toThrow(RangeError);
    expect(service.ask('')).toBeNull();
    expect([await service.ask('q'), await service.ask('q')]).toEqual([1, 1]);
  });
});

describe('an invalidation', () => {
  it.each([{ tags: ['t'] }, { name: 'Inner.ask' }])('of what a call under way was made from (%p) keeps later callers out of that call', async (target) => {
    const llmCache = new LlmCache();
    const gate = deferred();
    let version = 0;
    const outer = () =>
      llmCache.wrap({ name: 'Outer.ask', input: 1 }, async () => {
        const inner = await llmCache.wrap({ name: 'Inner.ask', input: 1 }, () => `v${++version}`, { tags: ['t'] });
        await gate.promise;
        return inner;
      });
    const early = outer();
    await settled();
    await llmCache.invalidate(target);
    const late = outer();
    gate.resolve();
    expect([await early, await late]).toEqual(['v1', 'v2']);
  });

  it('by key reaches a call that lost its place to a newer one', async () => {
    const llmCache = new LlmCache();
    const [one, two] = [deferred<string>(), deferred<string>()];
    const first = llmCache.wrap(parts, () => one.promise);
    const second = llmCache.wrap(parts, () => two.promise, { noCache: true });
    await llmCache.invalidate({ key: parts });
    one.resolve('v1');
    two.resolve('v2');
    await Promise.all([first, second]);
    expect(await llmCache.wrap(parts, () => 'v3')).toBe('v3');
  });

  it('by key reaches the calls of every user of the store in this process', async () => {
    const store = memoryStore();
    const [a, b] = [new LlmCache({ stores: store }), new LlmCache({ stores: store })];
    const upstream = deferred<string>();
    const asked = a.wrap(parts, () => upstream.promise);
    await b.invalidate({ key: parts });
    upstream.resolve('old');
    expect(await asked).toBe('old');
    expect(await a.wrap(parts, () => 'new')).toBe('new');
  });

  it('by key beats an answer whose versions are being checked right before it is stored', async () => {
    const clock = new FakeClock();
    const store = troubledStore();
    const llmCache = new LlmCache({ stores: store.keyv }, clock);
    const upstream = deferred<string>();
    const asked = llmCache.wrap(parts, () => upstream.promise);
    await settled();
    clock.advance('6s');
    const check = store.hold('get');
    upstream.resolve('old');
    await settled();
    const invalidated = llmCache.invalidate({ key: parts });
    await settled();
    store.heal();
    check.resolve();
    expect(await asked).toBe('old');
    await invalidated;
    expect(await llmCache.wrap(parts, () => 'new')).toBe('new');
  });

  it('by key holds in this process when a store fails to delete, and says so', async () => {
    const store = troubledStore();
    const llmCache = new LlmCache({ stores: [memoryStore(), store.keyv] });
    await llmCache.wrap(parts, () => 'old');
    store.fail('delete');
    await expect(llmCache.invalidate({ key: parts })).rejects.toMatchObject({ tiers: ['store 1'] });
    expect(await llmCache.wrap(parts, () => 'new')).toBe('new');
    expect(await llmCache.wrap(parts, () => 'never')).toBe('new');
  });

  it('by key notices a delete that Keyv swallowed', async () => {
    const store = troubledStore();
    const { store: adapter } = store.keyv;
    const keyv = new Keyv({ store: adapter as never, namespace: '' });
    const llmCache = new LlmCache({ stores: keyv });
    await llmCache.wrap(parts, () => 'old');
    store.fail('delete');
    await expect(llmCache.invalidate({ key: parts })).rejects.toMatchObject({ code: 'LLM_CACHE_INVALIDATION' });
  });

  it.each(['session:42', 'llm1.other.', ''])('by a key that is not ours (%p) touches nothing', async (key) => {
    const store = memoryStore();
    await store.set('session:42', 'theirs');
    const rejection: unknown = await new LlmCache({ stores: store }).invalidate({ key }).catch((error: unknown) => error);
    expect(LlmCacheConfigError.isInstance(rejection)).toBe(true);
    expect(await store.get('session:42')).toBe('theirs');
  });
});

describe('what a call left running', () => {
  it('is no part of it any more', async () => {
    const llmCache = new LlmCache();
    const later = deferred();
    let background!: Promise<string>;
    await llmCache.wrap(parts, async () => {
      background = later.promise.then(() => llmCache.wrap(parts, () => 'refreshed', { noCache: true }));
      return 'first';
    }, { tags: ['t'] });
    later.resolve();
    expect(await background).toBe('refreshed');
    expect(await llmCache.wrap(parts, () => 'never')).toBe('refreshed');
  });
});

describe('functions of the user that answer with a promise', () => {
  const late = (() => Promise.reject(new Error('late'))) as () => never;

  it('may reject without harm', async () => {
    const llmCache = new LlmCache({ scope: { resolve: late } });
    llmCache.on(late);
    expect(await llmCache.wrap(parts, () => 'ok', { onOutcome: late })).toBe('ok');
    expect(await withCacheControl({ onOutcome: late }, () => llmCache.wrap(parts, () => 'ok', { onOutcome: late }))).toBe('ok');
    class Service {
      calls = 0;
      async ask() {
        return ++this.calls;
      }
    }
    decorate(Service.prototype, 'ask', { key: late, scope: late, tags: late, model: late });
    const service = attachLlmCache(new Service(), new LlmCache());
    expect([await service.ask(), await service.ask()]).toEqual([1, 2]);
  });

  it('have not admitted an answer', async () => {
    const llmCache = new LlmCache({ cacheable: (async () => true) as never });
    await llmCache.wrap(parts, () => 'a');
    expect(await llmCache.wrap(parts, () => 'b')).toBe('b');
  });

  it('have not revived one', async () => {
    class Service {
      calls = 0;
      async ask() {
        return ++this.calls;
      }
    }
    decorate(Service.prototype, 'ask', { revive: late });
    const service = attachLlmCache(new Service(), new LlmCache());
    expect([await service.ask(), await service.ask()]).toEqual([1, 2]);
  });
});

describe('answers and arguments that throw when they are looked at', () => {
  const touchy = { get error() { throw new Error('boom'); } };
  const oddReason = JSON.parse('{"choices":[{"finish_reason":{"toString":1,"valueOf":1},"message":{"content":"x"}}]}') as object;

  it.each([touchy, oddReason])('reach their caller all the same (%#)', async (answer) => {
    const llmCache = new LlmCache();
    expect(await llmCache.wrap(parts, () => answer)).toBe(answer);
    expect(await llmCache.wrap(parts, () => answer, { bypass: true })).toBe(answer);
  });

  it.each<[string, (llmCache: LlmCache) => Promise<unknown>]>([
    ['options that are null', (llmCache) => llmCache.wrap(parts, () => 'ok', null as never)],
    ['options that throw', (llmCache) => llmCache.wrap(parts, () => 'ok', { get noCache(): never { throw new Error('boom'); } })],
    ['a signal that is none', (llmCache) => llmCache.wrap(parts, () => 'ok', { signal: new AbortController() as never })],
    ['a model that is revoked', (llmCache) => llmCache.wrap({ ...parts, model: revoked() as never }, () => 'ok')],
    ['an input that is revoked', (llmCache) => llmCache.wrap({ ...parts, input: revoked() }, () => 'ok')],
    ['ambient control that is null', (llmCache) => withCacheControl(null as never, () => withCacheControl({ noCache: true }, () => llmCache.wrap(parts, () => 'ok')))],
  ])('%s: the call succeeds', async (_, ask) => {
    expect(await ask(new LlmCache({ model: { seed: 1 } }))).toBe('ok');
  });

  it.each([revoked, () => ({ get signal() { throw new Error('boom'); } }), () => new Proxy({}, { getPrototypeOf: () => { throw new Error('boom'); } })])(
    'an argument of a decorated method (%#): the call succeeds',
    async (argument) => {
      class Service {
        async ask(_argument: unknown) {
          return 'ok';
        }
      }
      decorate(Service.prototype, 'ask');
      expect(await attachLlmCache(new Service(), new LlmCache()).ask(argument())).toBe('ok');
    },
  );
});

describe('parts that would not be in the key', () => {
  it('make the call run uncached', async () => {
    const llmCache = new LlmCache();
    const ask = (temperature: number) => llmCache.wrap({ ...parts, temperature } as never, () => temperature);
    expect([await ask(0), await ask(2)]).toEqual([0, 2]);
  });

  it('a scope of null falls back to the resolver, like undefined', async () => {
    let tenant = 'acme';
    const llmCache = new LlmCache({ scope: { resolve: () => tenant } });
    const ask = (answer: string) => llmCache.wrap({ ...parts, scope: null as never }, () => answer);
    expect(await ask('for acme')).toBe('for acme');
    tenant = 'globex';
    expect(await ask('for globex')).toBe('for globex');
  });
});

describe('quiet', () => {
  it('a hundred calls under one signal raise no warning about listeners', async () => {
    const warnings: string[] = [];
    const warn = ({ name }: Error) => warnings.push(name);
    process.on('warning', warn);
    const llmCache = new LlmCache();
    const { signal } = new AbortController();
    const upstream = deferred<string>();
    const calls = Array.from({ length: 100 }, (_, input) => llmCache.wrap({ name: 'n', input }, () => upstream.promise, { signal }));
    upstream.resolve('x');
    await Promise.all(calls);
    await settled();
    process.off('warning', warn);
    expect(warnings).toEqual([]);
  });

  it('an answer made from one older than its own ttl is not stored, and says so', async () => {
    const clock = new FakeClock();
    const llmCache = new LlmCache({ ttl: '1h', jitter: 0 }, clock);
    const inner = () => llmCache.wrap({ name: 'Inner.ask', input: 1 }, () => 'old', { ttl: '7d' });
    await inner();
    clock.advance('2h');
    const outcomes: CacheOutcome[] = [];
    await llmCache.wrap({ name: 'Outer.ask', input: 1 }, inner, { onOutcome: (outcome) => outcomes.push(outcome) });
    expect(outcomes).toEqual([expect.objectContaining({ status: 'miss', stored: false, reason: 'too-old' })]);
  });
});
