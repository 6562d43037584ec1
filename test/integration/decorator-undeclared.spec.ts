import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { CacheLlm, LlmCacheModule, LlmService } from 'nestjs-llm-cache';
import { FakeLlmProvider } from 'nestjs-llm-cache/testing';
import { deferred, settled } from '../fixtures/deferred.js';

/** What query builders return: no promise, but it can be awaited. */
class Lazy implements PromiseLike<string> {
  constructor(private readonly value: string) {}

  // oxlint-disable-next-line unicorn/no-thenable -- a thenable is what the test is about
  get then(): Promise<string>['then'] {
    const promise = Promise.resolve(this.value);
    return promise.then.bind(promise);
  }
}

describe('a method whose declaration does not say what it returns', () => {
  @Injectable()
  class Undeclared {
    calls = 0;

    @CacheLlm()
    loose(question: string) {
      this.calls++;
      return Promise.resolve(`answer to ${question}`);
    }

    @CacheLlm()
    thenable(question: string): PromiseLike<string> {
      this.calls++;
      return new Lazy(question);
    }

    @CacheLlm({ returns: 'promise' })
    told(question: string) {
      this.calls++;
      return Promise.resolve(`answer to ${question}`);
    }
  }

  it.each(['loose', 'told'] as const)('%s is cached from the first call on when that shows a promise', async (method) => {
    const app = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Undeclared] }).compile();
    const service = app.get(Undeclared);
    expect(await service[method]('a')).toBe('answer to a');
    expect(await service[method]('a')).toBe('answer to a');
    expect(service.calls).toBe(1);
    await app.close();
  });

  it('a thenable counts as a promise', async () => {
    const app = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Undeclared] }).compile();
    const service = app.get(Undeclared);
    expect(await service.thenable('a')).toBe('a');
    expect(await service.thenable('a')).toBe('a');
    expect(service.calls).toBe(1);
    await app.close();
  });

  it('is called inside its frame from the first call on: LlmService sees its model configuration', async () => {
    const provider = new FakeLlmProvider(({ model }) => `by ${model}`);
    @Injectable()
    class Framed {
      constructor(readonly llm: LlmService) {}

      @CacheLlm({ model: { model: 'large' } })
      ask(question: string) {
        return this.llm.text(question);
      }
    }
    const imports = [LlmCacheModule.forRoot({ provider, model: { model: 'small' } })];
    const app = await Test.createTestingModule({ imports, providers: [Framed] }).compile();
    expect(await app.get(Framed).ask('q')).toBe('by large');
    await app.close();
  });

  it('does not store a first answer made from a truncated one', async () => {
    const cut = { choices: [{ finish_reason: 'length', message: { content: 'cut' } }] };
    @Injectable()
    class Framed {
      constructor(readonly llm: LlmService) {}

      @CacheLlm()
      ask(question: string) {
        return this.llm.text(question);
      }
    }
    const imports = [LlmCacheModule.forRoot({ provider: new FakeLlmProvider(cut, 'whole') })];
    const app = await Test.createTestingModule({ imports, providers: [Framed] }).compile();
    expect(await app.get(Framed).ask('q')).toBe('cut');
    expect(await app.get(Framed).ask('q')).toBe('whole');
    await app.close();
  });

  it('gives its first run the signal that stands for all callers', async () => {
    const answer = deferred<string>();
    let runs = 0;
    @Injectable()
    class Abortable {
      @CacheLlm()
      ask(_question: string, signal?: AbortSignal) {
        runs++;
        signal?.addEventListener('abort', () => answer.reject(signal.reason), { once: true });
        return answer.promise;
      }
    }
    const app = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Abortable] }).compile();
    const service = app.get(Abortable);
    await expect(service.ask('q', AbortSignal.abort('before'))).rejects.toBe('before');
    expect(runs).toBe(0);
    const controller = new AbortController();
    const both = Promise.allSettled([service.ask('q', controller.signal), service.ask('q')]);
    await settled();
    controller.abort('left');
    await settled();
    answer.resolve('answer');
    expect(await both).toMatchObject([{ reason: 'left' }, { value: 'answer' }]);
    expect(runs).toBe(1);
    await app.close();
  });
});
