import { describe, expect, it, jest } from '@jest/globals';
import { type CacheOutcome, type CallOptions, LlmCache, type LlmCacheEvent, LlmCacheMissError, UncacheableInputError, withCacheControl } from 'nestjs-llm-cache';
import { FakeClock } from 'nestjs-llm-cache/testing';

const parts = { name: 'Test.ask', input: 'question' };

function setUp(options: ConstructorParameters<typeof LlmCache>[0] = {}) {
  const clock = new FakeClock();
  const llmCache = new LlmCache({ jitter: 0, ...options }, clock);
  let count = 0;
  const ask = (control?: CallOptions) => llmCache.wrap(parts, () => `answer ${++count}`, control);
  return { clock, llmCache, ask };
}

describe('cache control', () => {
  it('noCache calls upstream and stores the new answer', async () => {
    const { ask } = setUp();
    await ask();
    expect(await ask({ noCache: true })).toBe('answer 2');
    expect(await ask()).toBe('answer 2');
  });

  it('noStore may use a stored answer and stores nothing', async () => {
    const { ask } = setUp();
    expect(await ask({ noStore: true })).toBe('answer 1');
    expect(await ask()).toBe('answer 2');
    expect(await ask({ noStore: true })).toBe('answer 2');
  });

  it('onlyIfCached rejects a miss with LlmCacheMissError and serves a hit', async () => {
    const { ask } = setUp();
    const rejection: unknown = await ask({ onlyIfCached: true }).catch((error: unknown) => error);
    expect(LlmCacheMissError.isInstance(rejection)).toBe(true);
    await ask();
    expect(await ask({ onlyIfCached: true })).toBe('answer 1');
  });

  it('maxAge accepts answers up to that age; 0 never accepts one', async () => {
    const { ask, clock } = setUp();
    await ask();
    clock.advance('10s');
    expect(await ask({ maxAge: '10s' })).toBe('answer 1');
    expect(await ask({ maxAge: 9_999 })).toBe('answer 2');
    expect(await ask({ maxAge: 0 })).toBe('answer 3');
  });

  it('bypass neither reads nor stores', async () => {
    const { ask } = setUp();
    await ask();
    expect(await ask({ bypass: true })).toBe('answer 2');
    expect(await ask()).toBe('answer 1');
  });

  it('sample names one of several independent answers', async () => {
    const { ask } = setUp();
    expect([await ask(), await ask({ sample: 1 }), await ask({ sample: '1' }), await ask({ sample: 1 })]).toEqual([
      'answer 1', 'answer 2', 'answer 3', 'answer 2',
    ]);
  });

  it('is ambient: what is called inside follows, the inner wins, tags and observers add up', async () => {
    const { ask, llmCache } = setUp();
    const outcomes: string[] = [];
    await withCacheControl({ tags: ['outer'], onOutcome: ({ status }) => outcomes.push(`outer ${status}`) }, () =>
      withCacheControl({ tags: ['inner'], onOutcome: ({ status }) => outcomes.push(`inner ${status}`) }, async () => {
        await Promise.resolve();
        return ask();
      }),
    );
    expect(outcomes).toEqual(['inner miss', 'outer miss']);
    await llmCache.invalidate({ tags: ['outer'] });
    expect(await ask()).toBe('answer 2');
    expect(await withCacheControl({ noCache: true }, () => ask({ noCache: false }))).toBe('answer 2');
    expect(await withCacheControl({ noCache: true }, () => ask({ noCache: undefined }))).toBe('answer 3');
  });

  it.each([
    [{ ttl: 'soon' }], [{ ttl: 0 }], [{ ttl: -5 }], [{ ttl: NaN }], [{ maxAge: -1 }], [{ maxAge: '1 day' }], [{ tags: 'x' }],
    [{ tags: [1] }], [{ sample: NaN }], [{ noCache: 'yes' }], [{ onOutcome: 5 }], [{ nocache: true }],
  ] as unknown[][])('runs uncached, with a reason and one warning, for %p', async (control) => {
    const { ask, llmCache } = setUp();
    const events: LlmCacheEvent[] = [];
    llmCache.on((event) => events.push(event));
    await ask();
    expect(await ask(control as CallOptions)).toBe('answer 2');
    expect(await withCacheControl(control as CallOptions, () => ask())).toBe('answer 3');
    expect(events.filter(({ type }) => type === 'warning')).toHaveLength(1);
    expect(events.filter(({ type }) => type === 'bypass')).toHaveLength(2);
  });

  it.each([
    [undefined], [null], [{}], [{ name: '' }], [{ name: 5, input: 1 }], [{ name: 'x', input: 1, scope: {} }], [{ name: 'x', input: 1, scope: NaN }],
    [{ name: 'x', input: () => 1 }], [{ name: 'x', input: 1, model: { stop: Symbol('s') } }],
  ] as unknown[][])('runs uncached for the key parts %p', async (key) => {
    const llmCache = new LlmCache();
    const produce = jest.fn(() => 'answer');
    expect(await llmCache.wrap(key as never, produce)).toBe('answer');
    expect(await llmCache.wrap(key as never, produce)).toBe('answer');
    expect(produce).toHaveBeenCalledTimes(2);
    expect(llmCache.stats()).toMatchObject({ bypassed: 2, stored: 0 });
    expect(() => llmCache.keyFor(key as never)).toThrow(UncacheableInputError);
  });

  it('says what happened, once for each call', async () => {
    const { ask, clock, llmCache } = setUp();
    const outcomes: CacheOutcome[] = [];
    const onOutcome = (outcome: CacheOutcome) => outcomes.push(outcome);
    await ask({ onOutcome });
    clock.advance('2s');
    await ask({ onOutcome });
    await ask({ onOutcome, bypass: true });
    const key = llmCache.keyFor(parts);
    expect(outcomes).toEqual([
      { status: 'miss', name: 'Test.ask', stored: true, key },
      { status: 'hit', name: 'Test.ask', stored: false, tier: 0, ageMs: 2_000, savedMs: 0, key },
      { status: 'bypass', name: 'Test.ask', stored: false, reason: 'requested' },
    ]);
  });

  it('ignores what an observer or a listener throws', async () => {
    const { ask, llmCache } = setUp();
    llmCache.on(() => {
      throw new Error('listener');
    });
    const onOutcome = () => {
      throw new Error('observer');
    };
    expect(await ask({ onOutcome })).toBe('answer 1');
    expect(await ask({ onOutcome })).toBe('answer 1');
  });
});

describe('a stored answer that its own method cannot use', () => {
  it('is asked anew at the third attempt; one that came fresh survives a failure of the method', async () => {
    const llmCache = new LlmCache();
    let asked = 0;
    const inner = () => llmCache.wrap({ name: 'Inner.ask', input: 1 }, () => (++asked === 1 ? '{not json' : '{"fine":true}'));
    const outer = () => llmCache.wrap({ name: 'Outer.ask', input: 1 }, async () => JSON.parse(await inner()) as unknown);
    await expect(outer()).rejects.toThrow(SyntaxError);
    await expect(outer()).rejects.toThrow(SyntaxError);
    expect(asked).toBe(1);
    expect(await outer()).toEqual({ fine: true });
    expect(asked).toBe(2);
  });
});

describe('lifetimes', () => {
  it('expires at the end of the ttl, not before', async () => {
    const { ask, clock } = setUp({ ttl: '1h' });
    await ask();
    clock.advance(3_600_000 - 1);
    expect(await ask()).toBe('answer 1');
    clock.advance(1);
    expect(await ask()).toBe('answer 2');
  });

  it('takes the ttl of the call over the module', async () => {
    const { ask, clock } = setUp({ ttl: '1h' });
    await ask({ ttl: '1m' });
    clock.advance('1m');
    expect(await ask({ ttl: false })).toBe('answer 2');
    clock.advance('3650d');
    expect(await ask()).toBe('answer 2');
  });

  it('never expires with ttl: false, and after a day by default', async () => {
    const forever = setUp({ ttl: false });
    await forever.ask();
    forever.clock.advance('36500d');
    expect(await forever.ask()).toBe('answer 1');
    const byDefault = setUp();
    await byDefault.ask();
    byDefault.clock.advance('1d');
    expect(await byDefault.ask()).toBe('answer 2');
  });

  it('shortens lifetimes by at most the jitter, and never lengthens them', async () => {
    const clock = new FakeClock();
    const llmCache = new LlmCache({ ttl: '1000s', jitter: 0.5 }, clock);
    for (let input = 0; input < 200; input++) await llmCache.wrap({ name: 'n', input }, () => 'first');
    const survivors = async (): Promise<number> => {
      const { hits } = llmCache.stats();
      for (let input = 0; input < 200; input++) await llmCache.wrap({ name: 'n', input }, () => 'again', { noStore: true });
      return llmCache.stats().hits - hits;
    };
    clock.advance('499s');
    expect(await survivors()).toBe(200);
    clock.advance('251s');
    const half = await survivors();
    expect(half).toBeGreaterThan(50);
    expect(half).toBeLessThan(150);
    clock.advance('250s');
    expect(await survivors()).toBe(0);
  });

  it('takes a clock that was set back for a young answer, not for a broken one', async () => {
    const { ask, clock } = setUp({ ttl: '1h' });
    await ask();
    clock.setNow(clock.now() - 86_400_000);
    expect(await ask({ maxAge: '1s' })).toBe('answer 1');
  });

  it('an answer with a ttl is not made from older ones, and is no younger than what it was made from', async () => {
    const { clock, llmCache } = setUp({ ttl: '1d' });
    let count = 0;
    const inner = () => llmCache.wrap({ name: 'Inner.ask', input: 1 }, () => `answer ${++count}`);
    const outer = () => llmCache.wrap({ name: 'Outer.ask', input: 1 }, inner, { ttl: '10m' });
    await inner();
    clock.advance('5m');
    expect(await outer()).toBe('answer 1');
    clock.advance('5m');
    expect(await outer()).toBe('answer 1');
    clock.advance('1m');
    expect(await outer()).toBe('answer 2');
  });
});
