import { describe, expect, it } from '@jest/globals';
import { Injectable, type Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheLlm, type CacheLlmOptions, type CacheOutcome, LlmCache, LlmCacheModule, withCacheControl } from 'nestjs-llm-cache';
import { FakeClock, LlmCacheTestingModule } from 'nestjs-llm-cache/testing';
import { opened } from '../fixtures/apps.js';

interface Asking {
  readonly tenant: string;
  calls: number;
  ask(question: string, tone?: string): Promise<unknown>;
}

const clock = new FakeClock();

/** A service with one method, decorated with the options under test. */
function serviceWith(options: unknown, answer: (question: string) => unknown = (question) => `answer to ${question}`): Type<Asking> {
  @Injectable()
  class Service implements Asking {
    readonly tenant = 'acme';
    calls = 0;

    @CacheLlm(options as CacheLlmOptions<[question: string, tone?: string]>)
    async ask(question: string, _tone?: string): Promise<unknown> {
      this.calls++;
      return answer(question);
    }
  }
  return Service;
}

async function start(service: Type<Asking>): Promise<{ service: Asking; llmCache: LlmCache; moduleRef: TestingModule }> {
  const imports = [LlmCacheTestingModule.forRoot({ clock, ttl: '1h', model: { model: 'small' } })];
  const moduleRef = await Test.createTestingModule({ imports, providers: [service] }).compile();
  opened(moduleRef);
  return { service: moduleRef.get(service), llmCache: moduleRef.get(LlmCache), moduleRef };
}

async function outcomeOf(run: () => Promise<unknown>): Promise<CacheOutcome> {
  let outcome: CacheOutcome | undefined;
  await withCacheControl({ onOutcome: (told) => (outcome = told) }, run);
  return outcome!;
}

describe('functions in the options', () => {
  it('are called with `this` = the instance and the arguments, `cacheable` with the answer', async () => {
    const calls: unknown[][] = [];
    const note = <T>(name: string, value: T) =>
      function (this: Asking, ...args: unknown[]): T {
        calls.push([name, this.tenant, ...args]);
        return value;
      };
    const { service } = await start(
      serviceWith({ key: note('key', 'k'), scope: note('scope', 't'), tags: note('tags', ['x']), model: note('model', {}), cacheable: note('cacheable', true) }),
    );
    await service.ask('q', 'dry');
    expect(calls.filter(([name]) => name !== 'cacheable').map(([, ...rest]) => rest)).toEqual(Array.from({ length: 4 }, () => ['acme', 'q', 'dry']));
    expect(new Set(calls.map(([name]) => name))).toEqual(new Set(['cacheable', 'key', 'model', 'scope', 'tags']));
    expect(calls.find(([name]) => name === 'cacheable')).toEqual([
      'cacheable', 'acme', 'answer to q', { name: 'Service.ask', stored: false },
    ]);
  });

  it.each(['key', 'scope', 'tags', 'model'])('%s that throws makes the call run uncached, with a reason and without its message', async (option) => {
    const options = {
      [option]: () => {
        throw new Error('secret prompt text');
      },
    };
    const { service, llmCache } = await start(serviceWith(options));
    const warnings: string[] = [];
    llmCache.on((event) => event.type === 'warning' && warnings.push(event.message));
    expect(await outcomeOf(() => service.ask('q'))).toMatchObject({ status: 'bypass', stored: false, reason: expect.stringMatching(/@CacheLlm options threw/) });
    expect(await service.ask('q')).toBe('answer to q');
    expect(service.calls).toBe(2);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).not.toContain('secret');
  });

  it.each(['key', 'scope'])('%s that answers with a promise makes the call run uncached', async (option) => {
    const { service } = await start(serviceWith({ [option]: async () => 'late' }));
    expect(await outcomeOf(() => service.ask('q'))).toMatchObject({ status: 'bypass', reason: expect.stringMatching(/promise/) });
    expect(await service.ask('q')).toBe('answer to q');
  });

  it.each<[option: string, value: unknown]>([
    ['model', null], ['model', 'gpt-4o'], ['model', 5], ['model', ['a']], ['model', Promise.resolve({ model: 'large' })],
    ['tags', 'billing'], ['tags', 5], ['tags', {}], ['tags', null], ['tags', ['']], ['scope', {}], ['scope', NaN],
  ])('%s that answers with %p makes the call run uncached, with a reason', async (option, value) => {
    const { service } = await start(serviceWith({ [option]: () => value }));
    expect(await outcomeOf(() => service.ask('q'))).toMatchObject({ status: 'bypass', reason: expect.any(String) });
    expect(await service.ask('q')).toBe('answer to q');
  });

  it('`cacheable` that throws, refuses or is async keeps the answer out', async () => {
    const refusals = [
      () => false,
      () => {
        throw new Error('x');
      },
      async () => true,
    ];
    for (const cacheable of refusals) {
      const { service } = await start(serviceWith({ cacheable }));
      expect(await outcomeOf(() => service.ask('q'))).toMatchObject({ status: 'miss', stored: false, reason: 'not-cacheable' });
      expect(await service.ask('q')).toBe('answer to q');
      expect(service.calls).toBe(2);
    }
  });
});

describe('key', () => {
  it('stands for the arguments', async () => {
    const { service } = await start(serviceWith({ key: (question: string) => question.toLowerCase() }));
    await service.ask('Q', 'dry');
    expect(await service.ask('q', 'warm')).toBe('answer to Q');
    expect(service.calls).toBe(1);
  });

  it('may make a call cacheable whose arguments are not', async () => {
    const { service } = await start(serviceWith({ key: (question: string) => question }));
    await service.ask('q', (() => 1) as never);
    await service.ask('q', (() => 2) as never);
    expect(service.calls).toBe(1);
  });
});

describe('uncacheable arguments', () => {
  it('run the method uncached, name the path in a reason, and warn once', async () => {
    const { service, llmCache } = await start(serviceWith({}));
    const warnings: string[] = [];
    llmCache.on((event) => event.type === 'warning' && warnings.push(event.message));
    const ask = () => service.ask('q', { onToken: () => 1 } as never);
    expect((await outcomeOf(ask)).reason).toBe('uncacheable input: input[1].onToken is a function');
    await ask();
    expect(service.calls).toBe(2);
    expect(warnings).toHaveLength(1);
  });
});

describe('model, version, scope, tags and ttl', () => {
  it('model joins the key, over the module\'s', async () => {
    const { service, llmCache } = await start(serviceWith({ model: (_question: string, tone: string) => ({ temperature: tone === 'dry' ? 0 : 1 }) }));
    expect(llmCache.partsOf(service, 'ask', ['q', 'dry']).model).toEqual({ temperature: 0 });
    await service.ask('q', 'dry');
    await service.ask('q', 'warm');
    expect(service.calls).toBe(2);
  });

  it('version separates what was stored under another', async () => {
    const one = await start(serviceWith({ version: 1 }));
    const two = await start(serviceWith({ version: 2 }));
    const key = ({ llmCache, service }: typeof one) => llmCache.keyFor(llmCache.partsOf(service, 'ask', ['q']));
    expect(key(one)).not.toBe(key(two));
    expect(one.llmCache.explain(one.llmCache.partsOf(one.service, 'ask', ['q']), two.llmCache.partsOf(two.service, 'ask', ['q']))).toEqual([
      { path: 'version[1]', kind: 'value' },
    ]);
  });

  it('scope parts the tenants, and can be invalidated', async () => {
    const { service, llmCache } = await start(serviceWith({ scope: (question: string) => question.slice(0, 1), key: () => 'same' }));
    await service.ask('a1');
    expect(await service.ask('b1')).toBe('answer to b1');
    expect(await service.ask('a2')).toBe('answer to a1');
    await llmCache.invalidate({ scope: 'a' });
    expect(await service.ask('a3')).toBe('answer to a3');
    expect(await service.ask('b2')).toBe('answer to b1');
  });

  it.each([
    ['an array', ['billing']],
    ['a function', (question: string) => [`about-${question}`]],
  ])('tags given as %s can be invalidated', async (_form, tags) => {
    const { service, llmCache } = await start(serviceWith({ tags }));
    await service.ask('q');
    await llmCache.invalidate({ tags: ['else'] });
    await service.ask('q');
    expect(service.calls).toBe(1);
    await llmCache.invalidate({ tags: ['billing', 'about-q'] });
    await service.ask('q');
    expect(service.calls).toBe(2);
  });

  it('invalidates by name and by partsOf', async () => {
    const { service, llmCache } = await start(serviceWith({}));
    await service.ask('q');
    await service.ask('r');
    await llmCache.invalidate({ key: llmCache.partsOf(service, 'ask', ['q']) });
    await service.ask('q');
    await service.ask('r');
    expect(service.calls).toBe(3);
    await llmCache.invalidate({ name: 'Service.ask' });
    await service.ask('r');
    expect(service.calls).toBe(4);
  });

  it('ttl overrides the module\'s, and control overrides both', async () => {
    const { service } = await start(serviceWith({ ttl: '2h' }));
    await service.ask('q');
    await withCacheControl({ ttl: '3h' }, () => service.ask('r'));
    clock.advance(2 * 3_600_000 - 1);
    await service.ask('q');
    expect(service.calls).toBe(2);
    clock.advance(1);
    await service.ask('q');
    expect(service.calls).toBe(3);
    await service.ask('r');
    expect(service.calls).toBe(3);
  });

  it('ttl: false never expires', async () => {
    const { service } = await start(serviceWith({ ttl: false }));
    await service.ask('q');
    clock.advance('4000d');
    await service.ask('q');
    expect(service.calls).toBe(1);
  });
});

describe('revive', () => {
  class Money {
    constructor(readonly cents: number) {}
  }

  it('makes an instance of the class out of a stored answer, with `this` = the instance', async () => {
    const revive = function (this: Asking, plain: unknown): Money {
      expect(this.tenant).toBe('acme');
      return new Money((plain as Money).cents);
    };
    const { service } = await start(serviceWith({ revive }, () => new Money(5)));
    for (const answer of [await service.ask('q'), await service.ask('q')]) {
      expect(answer).toBeInstanceOf(Money);
      expect(answer).toEqual(new Money(5));
    }
    expect(service.calls).toBe(1);
  });

  it('is asked for, by the class\'s name and once, where an answer needs it', async () => {
    const { service, llmCache } = await start(serviceWith({}, () => new Money(5)));
    const warnings: string[] = [];
    llmCache.on((event) => event.type === 'warning' && warnings.push(event.message));
    expect(await service.ask('q')).toBeInstanceOf(Money);
    expect(await service.ask('q')).toBeInstanceOf(Money);
    expect(service.calls).toBe(2);
    expect(warnings).toEqual([expect.stringMatching(/Service\.ask.*Money.*not stored.*revive/s)]);
  });

  it('that throws costs a call, never an error', async () => {
    const revive = (): never => {
      throw new Error('schema changed');
    };
    const { service } = await start(serviceWith({ revive }, () => new Money(5)));
    await service.ask('q');
    expect(await service.ask('q')).toEqual(new Money(5));
    expect(service.calls).toBe(2);
  });
});

describe('withCacheControl around a decorated call', () => {
  it('noCache calls again and stores; noStore stores nothing; maxAge 0 takes nothing stored', async () => {
    let answers = 0;
    const { service } = await start(serviceWith({}, () => ++answers));
    expect(await service.ask('q')).toBe(1);
    expect(await withCacheControl({ noCache: true }, () => service.ask('q'))).toBe(2);
    expect(await service.ask('q')).toBe(2);
    expect(await withCacheControl({ noStore: true, maxAge: 0 }, () => service.ask('q'))).toBe(3);
    expect(await withCacheControl({ bypass: true }, () => service.ask('q'))).toBe(4);
    expect(await service.ask('q')).toBe(2);
    expect(await withCacheControl({ sample: 1 }, () => service.ask('q'))).toBe(5);
    await expect(withCacheControl({ onlyIfCached: true }, () => service.ask('other'))).rejects.toMatchObject({ code: 'LLM_CACHE_MISS' });
    expect(await withCacheControl({ onlyIfCached: true }, () => service.ask('q'))).toBe(2);
  });
});

it('LlmCacheModule takes the same decorator options as the testing module', async () => {
  const Service = serviceWith({ ttl: '1h', tags: ['x'] });
  const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Service] }).compile();
  opened(moduleRef);
  await moduleRef.get(Service).ask('q');
  await moduleRef.get(Service).ask('q');
  expect(moduleRef.get(Service).calls).toBe(1);
});
