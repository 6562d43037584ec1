import { afterEach, describe, expect, it } from '@jest/globals';
import { ContextIdFactory } from '@nestjs/core';
import { Inject, Injectable, Module, Scope } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { CacheLlm, LlmCache, LlmCacheModule } from 'nestjs-llm-cache';
import { opened, startWith as start } from '../fixtures/apps.js';

/** What reached the methods themselves, newest last. */
const upstream: string[] = [];
afterEach(() => void upstream.splice(0));

@Injectable()
class DefaultService {
  @CacheLlm()
  async ask(question: string): Promise<string> {
    upstream.push(question);
    return `answer to ${question}`;
  }
}

@Injectable({ scope: Scope.REQUEST })
class RequestService {
  @CacheLlm()
  async ask(question: string): Promise<string> {
    upstream.push(question);
    return `answer to ${question}`;
  }
}

@Injectable({ scope: Scope.TRANSIENT })
class TransientService {
  @CacheLlm()
  async ask(question: string): Promise<string> {
    upstream.push(question);
    return `answer to ${question}`;
  }
}

@Injectable({ scope: Scope.REQUEST, durable: true })
class DurableService {
  @CacheLlm()
  async ask(question: string): Promise<string> {
    upstream.push(question);
    return `answer to ${question}`;
  }
}

describe('@CacheLlm in every scope', () => {
  it('caches a default-scoped provider, and tells arguments apart', async () => {
    const service = (await start(DefaultService)).get(DefaultService);
    expect(await service.ask('a')).toBe('answer to a');
    expect(await service.ask('a')).toBe('answer to a');
    expect(await service.ask('b')).toBe('answer to b');
    expect(upstream).toEqual(['a', 'b']);
  });

  it.each([
    ['request', RequestService],
    ['durable', DurableService],
  ])('caches across the instances of a %s-scoped provider', async (_scope, type) => {
    const moduleRef = await start(type);
    const first = await moduleRef.resolve<RequestService>(type, ContextIdFactory.create());
    const second = await moduleRef.resolve<RequestService>(type, ContextIdFactory.create());
    expect(first).not.toBe(second);
    expect(await first.ask('a')).toBe('answer to a');
    expect(await second.ask('a')).toBe('answer to a');
    expect(upstream).toEqual(['a']);
  });

  it('caches across the instances of a transient provider', async () => {
    @Injectable()
    class One {
      constructor(readonly service: TransientService) {}
    }
    @Injectable()
    class Two {
      constructor(readonly service: TransientService) {}
    }
    const moduleRef = await start(TransientService, One, Two);
    const [{ service: first }, { service: second }] = [moduleRef.get(One), moduleRef.get(Two)];
    expect(first).not.toBe(second);
    await first.ask('a');
    await second.ask('a');
    expect(upstream).toEqual(['a']);
  });

  it('leaves a default-scoped provider a singleton: no scope bubbles up', async () => {
    const moduleRef = await start(DefaultService);
    const [one, two] = await Promise.all([moduleRef.resolve(DefaultService), moduleRef.resolve(DefaultService)]);
    expect(one).toBe(two);
    expect(moduleRef.get(DefaultService)).toBe(one);
  });

  it('caches a class provided by useClass and reached by useExisting', async () => {
    const moduleRef = await start(
      { provide: 'ASK', useClass: DefaultService },
      { provide: 'ALIAS', useExisting: 'ASK' },
    );
    await moduleRef.get<DefaultService>('ASK').ask('a');
    await moduleRef.get<DefaultService>('ALIAS').ask('a');
    expect(upstream).toEqual(['a']);
  });

  it('caches a provider of a module that does not import LlmCacheModule itself, as it is global', async () => {
    @Module({ providers: [DefaultService], exports: [DefaultService] })
    class FeatureModule {}
    @Injectable()
    class Consumer {
      constructor(@Inject(DefaultService) readonly service: DefaultService) {}
    }
    const moduleRef = await Test.createTestingModule({
      imports: [FeatureModule, LlmCacheModule.forRoot()],
      providers: [Consumer],
    }).compile();
    opened(moduleRef);
    const { service } = moduleRef.get(Consumer);
    await service.ask('a');
    await service.ask('a');
    expect(upstream).toEqual(['a']);
  });
});

describe('@CacheLlm on every kind of method', () => {
  const SECRET_NAME = Symbol('ask');

  @Injectable()
  class ManyMethods {
    private readonly prefix = 'p:';
    readonly fieldArrow = async (question: string): Promise<string> => this.direct(question);

    @CacheLlm()
    async direct(question: string): Promise<string> {
      upstream.push(question);
      return this.prefix + question;
    }

    async caller(question: string): Promise<string> {
      return this.direct(question);
    }

    @CacheLlm()
    async [SECRET_NAME](question: string): Promise<string> {
      upstream.push(`symbol ${question}`);
      return question;
    }

    @CacheLlm()
    promised(question: string): Promise<string> {
      upstream.push(`promised ${question}`);
      return Promise.resolve(question);
    }

    @CacheLlm()
    async noArguments(): Promise<number> {
      upstream.push('none');
      return 1;
    }
  }

  it('keeps `this`, and caches self-calls through the wrapper', async () => {
    const service = (await start(ManyMethods)).get(ManyMethods);
    expect(await service.caller('a')).toBe('p:a');
    expect(await service.direct('a')).toBe('p:a');
    expect(await service.fieldArrow('a')).toBe('p:a');
    expect(upstream).toEqual(['a']);
  });

  it('caches a method whose key is a symbol', async () => {
    const moduleRef = await start(ManyMethods);
    const service = moduleRef.get(ManyMethods);
    const names: string[] = [];
    moduleRef.get(LlmCache).on((event) => 'name' in event && names.push(event.name));
    await service[SECRET_NAME]('a');
    await service[SECRET_NAME]('a');
    expect(upstream).toEqual(['symbol a']);
    expect(names).toEqual(['ManyMethods.[ask]', 'ManyMethods.[ask]']);
  });

  it('caches a method that is not `async` but declared to return a Promise', async () => {
    const service = (await start(ManyMethods)).get(ManyMethods);
    await service.promised('a');
    await service.promised('a');
    expect(upstream).toEqual(['promised a']);
  });

  it('caches a method without arguments, and takes trailing undefined for nothing', async () => {
    const service = (await start(ManyMethods)).get(ManyMethods);
    const loose = service as unknown as { noArguments(...args: unknown[]): Promise<number> };
    await loose.noArguments();
    await loose.noArguments(undefined);
    await loose.noArguments(undefined, undefined);
    expect(upstream).toEqual(['none']);
    await loose.noArguments(null);
    expect(upstream).toEqual(['none', 'none']);
  });

  it('shares one run among callers at the same time', async () => {
    const moduleRef = await start(ManyMethods);
    const service = moduleRef.get(ManyMethods);
    const answers = await Promise.all(Array.from({ length: 20 }, () => service.direct('a')));
    expect(new Set(answers)).toEqual(new Set(['p:a']));
    expect(upstream).toEqual(['a']);
    expect(moduleRef.get(LlmCache).stats()).toMatchObject({ misses: 1, coalesced: 19, upstream: 1 });
  });

  it('rethrows the very error of the method, and stores nothing of it', async () => {
    const failure = new Error('upstream is down');
    @Injectable()
    class Failing {
      calls = 0;

      @CacheLlm()
      async ask(): Promise<string> {
        this.calls++;
        throw failure;
      }
    }
    const service = (await start(Failing)).get(Failing);
    await expect(service.ask()).rejects.toBe(failure);
    await expect(service.ask()).rejects.toBe(failure);
    expect(service.calls).toBe(2);
  });
});
