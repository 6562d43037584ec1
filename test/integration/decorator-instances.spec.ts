import { beforeEach, describe, expect, it } from '@jest/globals';
import { Inject, Injectable, Scope } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { inspect } from 'node:util';
import { attachLlmCache, CacheLlm, LlmCache } from 'nestjs-llm-cache';
import { startWith as start } from '../fixtures/apps.js';

let upstream = 0;

beforeEach(() => {
  upstream = 0;
});

@Injectable()
class Asker {
  readonly language = 'English';

  @CacheLlm()
  async ask(question: string): Promise<string> {
    upstream++;
    return `${question} in ${this.language}`;
  }
}

class FrozenAsker extends Asker {
  constructor() {
    super();
    Object.freeze(this);
  }
}

async function askTwice(asker: Asker): Promise<number> {
  expect(await asker.ask('a')).toBe('a in English');
  expect(await asker.ask('a')).toBe('a in English');
  return upstream;
}

describe('an instance that no container made', () => {
  it('runs its methods uncached', async () => {
    expect(await askTwice(new Asker())).toBe(2);
  });

  it('runs uncached beside a container that caches the same class', async () => {
    const moduleRef = await start(Asker);
    expect(await askTwice(moduleRef.get(Asker))).toBe(1);
    expect(await askTwice(new Asker())).toBe(3);
  });

  it('is cached once it is attached, and shares entries with the injected one', async () => {
    const moduleRef = await start(Asker);
    const asker = new Asker();
    expect(attachLlmCache(asker, moduleRef.get(LlmCache))).toBe(asker);
    expect(await askTwice(asker)).toBe(1);
    expect(await askTwice(moduleRef.get(Asker))).toBe(1);
  });

  it('is cached without a container at all', async () => {
    const llmCache = new LlmCache();
    expect(await askTwice(attachLlmCache(new Asker(), llmCache))).toBe(1);
    expect(llmCache.stats()).toMatchObject({ hits: 1, misses: 1 });
    await llmCache.close();
  });

  it('goes over to the cache it was attached to last', async () => {
    const [one, two] = [new LlmCache(), new LlmCache()];
    const asker = attachLlmCache(attachLlmCache(new Asker(), one), two);
    await asker.ask('a');
    expect([one.stats().misses, two.stats().misses]).toEqual([0, 1]);
    await Promise.all([one.close(), two.close()]);
  });

  it.each([
    ['frozen', Object.freeze],
    ['sealed', Object.seal],
    ['not extensible', Object.preventExtensions],
  ])('can be attached when it is %s', async (_state, close: (asker: Asker) => Asker) => {
    const llmCache = new LlmCache();
    expect(await askTwice(attachLlmCache(close(new Asker()), llmCache))).toBe(1);
    await llmCache.close();
  });

  it('can be attached behind a Proxy', async () => {
    const llmCache = new LlmCache();
    expect(await askTwice(attachLlmCache(new Proxy(new Asker(), {}), llmCache))).toBe(1);
    await llmCache.close();
  });
});

describe('an instance that Nest injected into', () => {
  it('is cached when its constructor froze it', async () => {
    @Injectable()
    class Frozen extends FrozenAsker {}
    expect(await askTwice((await start(Frozen)).get(Frozen))).toBe(1);
  });

  it('is cached when it is called through a Proxy', async () => {
    const asker = (await start(Asker)).get(Asker);
    const calls: PropertyKey[] = [];
    const proxy = new Proxy(asker, {
      get(target, property, receiver) {
        calls.push(property);
        return Reflect.get(target, property, receiver) as unknown;
      },
    });
    expect(await askTwice(proxy)).toBe(1);
    expect(calls).toContain('ask');
  });

  it('is cached when its constructor returned a Proxy', async () => {
    @Injectable()
    class Wrapped extends Asker {
      constructor() {
        super();
        return new Proxy(this, {});
      }
    }
    expect(await askTwice((await start(Wrapped)).get(Wrapped))).toBe(1);
  });

  it('shows nothing of it: spreads, keys, JSON, logs and equality are as before', async () => {
    const asker = (await start(Asker)).get(Asker);
    const plain = new Asker();
    expect(Object.keys(asker)).toEqual(['language']);
    expect(Reflect.ownKeys(Object.assign({}, asker))).toEqual(['language']);
    expect(JSON.stringify(asker)).toBe('{"language":"English"}');
    expect(inspect(asker)).toBe(inspect(plain));
    expect(asker).toEqual(plain);
    const seen: string[] = [];
    for (const key in asker) seen.push(key);
    expect(seen).toEqual(['language']);
  });

  it('keeps the name and the length of the method', () => {
    expect([Asker.prototype.ask.name, Asker.prototype.ask.length]).toEqual(['ask', 1]);
  });
});

describe('providers that Nest injects no properties into', () => {
  it('are swept: useFactory', async () => {
    const moduleRef = await start({ provide: Asker, useFactory: () => new Asker() });
    expect(await askTwice(moduleRef.get(Asker))).toBe(1);
  });

  it('are swept: useFactory with inject', async () => {
    const moduleRef = await start(
      { provide: 'LANGUAGE', useValue: 'English' },
      { provide: 'ASKER', inject: ['LANGUAGE'], useFactory: (language: string) => Object.assign(new Asker(), { language }) },
    );
    expect(await askTwice(moduleRef.get('ASKER'))).toBe(1);
  });

  it('are swept: useFactory that is async', async () => {
    const moduleRef = await start({ provide: Asker, useFactory: async () => new Asker() });
    expect(await askTwice(moduleRef.get(Asker))).toBe(1);
  });

  it('are swept: useValue', async () => {
    const moduleRef = await start({ provide: Asker, useValue: new Asker() });
    expect(await askTwice(moduleRef.get(Asker))).toBe(1);
  });

  it('are swept: a frozen useValue', async () => {
    const moduleRef = await start({ provide: Asker, useValue: new FrozenAsker() });
    expect(await askTwice(moduleRef.get(Asker))).toBe(1);
  });

  it('are swept: a useValue that an app before used, closed by now', async () => {
    const value = new Asker();
    const first = await start({ provide: Asker, useValue: value });
    await first.get(Asker).ask('a');
    await first.close();
    const second = await start({ provide: Asker, useValue: value });
    await askTwice(second.get(Asker));
    expect(upstream).toBe(2);
  });

  it('are swept before other modules\' onModuleInit', async () => {
    @Injectable()
    class Early {
      constructor(@Inject('ASKER') private readonly asker: Asker) {}

      async onModuleInit(): Promise<void> {
        await askTwice(this.asker);
      }
    }
    await start({ provide: 'ASKER', useFactory: () => new Asker() }, Early);
    expect(upstream).toBe(1);
  });

  it('leave values of every other kind alone', async () => {
    const values = [null, undefined, 0, '', 'text', Symbol('s'), () => 1, Object.create(null), Object.freeze({ a: 1 }), new Map()];
    const moduleRef = await start(...values.map((useValue, index) => ({ provide: `V${index}`, useValue: useValue as unknown })));
    for (const [index, value] of values.entries()) expect(moduleRef.get(`V${index}`)).toBe(value);
  });

  it('need attachLlmCache where a request-scoped factory makes them', async () => {
    const moduleRef = await start(
      { provide: 'BARE', scope: Scope.REQUEST, useFactory: () => new Asker() },
      {
        provide: 'ATTACHED',
        scope: Scope.REQUEST,
        inject: [LlmCache],
        useFactory: (llmCache: LlmCache) => attachLlmCache(new Asker(), llmCache),
      },
    );
    expect(await askTwice(await moduleRef.resolve<Asker>('BARE'))).toBe(2);
    await (await moduleRef.resolve<Asker>('ATTACHED')).ask('a');
    await (await moduleRef.resolve<Asker>('ATTACHED')).ask('a');
    expect(upstream).toBe(3);
  });

  it('need no sweep where ModuleRef.create makes them', async () => {
    const moduleRef = await start();
    const asker = await moduleRef.get(ModuleRef).create(Asker);
    expect(await askTwice(asker)).toBe(1);
  });
});
