import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheLlm, LlmCache, LlmCacheModule } from 'nestjs-llm-cache';
import { settled } from '../fixtures/deferred.js';

/** What the method under test was given, and how to end it. */
interface Run {
  question: string;
  signal: AbortSignal | undefined;
  options?: Record<string, unknown>;
  finish: (answer: string) => void;
}

let runs: Run[];

function run(question: string, signal: AbortSignal | undefined, options?: Record<string, unknown>): Promise<string> {
  return new Promise((finish, fail) => {
    runs.push({ question, signal, options, finish });
    signal?.addEventListener('abort', () => fail(signal.reason as Error), { once: true });
  });
}

@Injectable()
class Asker {
  @CacheLlm()
  async ask(question: string, signal?: AbortSignal): Promise<string> {
    return run(question, signal);
  }

  @CacheLlm()
  async first(signal: AbortSignal | undefined, question: string): Promise<string> {
    return run(question, signal);
  }

  @CacheLlm()
  async withOptions(question: string, options: { tone: string; signal?: AbortSignal }): Promise<string> {
    return run(question, options.signal, options);
  }
}

let moduleRef: TestingModule;
let asker: Asker;

beforeEach(async () => {
  runs = [];
  moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Asker] }).compile();
  asker = moduleRef.get(Asker);
});

afterEach(() => moduleRef.close());

describe('an AbortSignal among the arguments', () => {
  it('stays out of the key, wherever it stands', async () => {
    const calls = [
      asker.ask('q', new AbortController().signal),
      asker.ask('q', new AbortController().signal),
      asker.ask('q'),
    ];
    await settled();
    expect(runs).toHaveLength(1);
    runs[0]!.finish('answer');
    expect(await Promise.all(calls)).toEqual(['answer', 'answer', 'answer']);
    expect(await asker.ask('q', new AbortController().signal)).toBe('answer');

    const others = [asker.first(new AbortController().signal, 'q'), asker.first(undefined, 'q')];
    await settled();
    expect(runs).toHaveLength(2);
    runs[1]!.finish('answer');
    await Promise.all(others);
  });

  it('stays out of the key as the `signal` of an options object, whose other fields do not', async () => {
    const { signal } = new AbortController();
    const calls = [asker.withOptions('q', { tone: 'dry', signal }), asker.withOptions('q', { tone: 'dry' })];
    const warm = asker.withOptions('q', { tone: 'warm', signal });
    await settled();
    expect(runs).toHaveLength(2);
    expect(runs[1]!.options).toEqual({ tone: 'warm', signal: expect.any(AbortSignal) });
    for (const { finish } of runs) finish('answer');
    await Promise.all([...calls, warm]);
  });

  it('is not the one the method gets: that stands for all callers', async () => {
    const { signal } = new AbortController();
    const call = asker.ask('q', signal);
    await settled();
    expect(runs[0]!.signal).toBeInstanceOf(AbortSignal);
    expect(runs[0]!.signal).not.toBe(signal);
    runs[0]!.finish('answer');
    await call;
  });

  it('leaves the caller\'s options object as it was', async () => {
    const options = Object.freeze({ tone: 'dry', signal: new AbortController().signal });
    const { signal } = options;
    const call = asker.withOptions('q', options);
    await settled();
    runs[0]!.finish('answer');
    await call;
    expect(options.signal).toBe(signal);
  });

  it.each([0, 1])('that aborts harms only its own caller (caller %i of 2)', async (index) => {
    const controllers = [new AbortController(), new AbortController()];
    const calls = controllers.map(({ signal }) => asker.ask('q', signal));
    await settled();
    const reason = new Error('client went away');
    controllers[index]!.abort(reason);
    await expect(calls[index]!).rejects.toBe(reason);
    expect(runs[0]!.signal!.aborted).toBe(false);
    runs[0]!.finish('answer');
    expect(await calls[1 - index]!).toBe('answer');
    expect(await asker.ask('q')).toBe('answer');
    expect(runs).toHaveLength(1);
  });

  it('aborts the method\'s signal when it is the last, and each caller gets its own reason', async () => {
    const controllers = [new AbortController(), new AbortController()];
    const calls = controllers.map(({ signal }) => asker.ask('q', signal));
    await settled();
    const both = Promise.allSettled(calls);
    const [one, two] = [new Error('one'), 'two as a string'];
    controllers[0]!.abort(one);
    expect(runs[0]!.signal!.aborted).toBe(false);
    controllers[1]!.abort(two);
    expect(runs[0]!.signal!.aborted).toBe(true);
    expect(runs[0]!.signal!.reason).toBe(two);
    expect(await both).toMatchObject([{ reason: one }, { reason: two }]);
  });

  it('does not abort the method while a caller without a signal waits', async () => {
    const controller = new AbortController();
    const calls = [asker.ask('q', controller.signal), asker.ask('q')];
    await settled();
    controller.abort();
    await expect(calls[0]!).rejects.toMatchObject({ name: 'AbortError' });
    expect(runs[0]!.signal!.aborted).toBe(false);
    runs[0]!.finish('answer');
    expect(await calls[1]!).toBe('answer');
  });

  it('that has aborted already rejects with its reason, and the method does not run', async () => {
    const reason = new Error('too late');
    await expect(asker.ask('q', AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(runs).toHaveLength(0);
  });

  it('leaves nothing behind: whoever asks after the last abort starts anew', async () => {
    const controller = new AbortController();
    const abandoned = asker.ask('q', controller.signal);
    await settled();
    controller.abort();
    await expect(abandoned).rejects.toMatchObject({ name: 'AbortError' });
    const again = asker.ask('q');
    await settled();
    expect(runs).toHaveLength(2);
    runs[1]!.finish('answer');
    expect(await again).toBe('answer');
    expect(moduleRef.get(LlmCache).stats()).toMatchObject({ stored: 1 });
  });

  it('joins the key neither through partsOf', () => {
    const llmCache = moduleRef.get(LlmCache);
    const key = (...args: unknown[]) => llmCache.keyFor(llmCache.partsOf(asker, 'ask', args));
    expect(key('q', new AbortController().signal)).toBe(key('q'));
  });

  it('of a finished call may abort later without effect', async () => {
    const controller = new AbortController();
    const call = asker.ask('q', controller.signal);
    await settled();
    runs[0]!.finish('answer');
    expect(await call).toBe('answer');
    controller.abort();
    expect(await asker.ask('q')).toBe('answer');
  });
});

describe('a decorated method that calls another', () => {
  it('passes an abort down, and keeps the inner call of others alive', async () => {
    @Injectable()
    class Outer {
      constructor(private readonly inner: Asker) {}

      @CacheLlm()
      async outer(name: string, _signal?: AbortSignal): Promise<string> {
        return `${name}: ${await this.inner.ask('q', new AbortController().signal)}`;
      }
    }
    const app = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Asker, Outer] }).compile();
    const outer = app.get(Outer);
    const controllers = [new AbortController(), new AbortController()];
    const calls = ['one', 'two'].map((name, index) => outer.outer(name, controllers[index]!.signal));
    await settled();
    expect(runs).toHaveLength(1);
    controllers[0]!.abort('first went away');
    await expect(calls[0]!).rejects.toBe('first went away');
    expect(runs[0]!.signal!.aborted).toBe(false);
    controllers[1]!.abort('second went away');
    await expect(calls[1]!).rejects.toBe('second went away');
    expect(runs[0]!.signal!.aborted).toBe(true);
    await app.close();
  });
});
