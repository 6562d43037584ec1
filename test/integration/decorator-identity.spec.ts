import { describe, expect, it } from '@jest/globals';
import { Injectable, Scope, type Type } from '@nestjs/common';
import { CacheLlm, LlmCache, LlmCacheConfigError } from 'nestjs-llm-cache';
import { startWith as start } from '../fixtures/apps.js';

interface Asking {
  ask(question: string): Promise<string>;
}

/** As when two files declare a class of one name. */
function ticketsService(answer: string, name?: string, scope = Scope.DEFAULT): Type<Asking> {
  @Injectable({ scope })
  class TicketsService implements Asking {
    @CacheLlm(name === undefined ? {} : { name })
    async ask(_question: string): Promise<string> {
      return answer;
    }
  }
  return TicketsService;
}

describe('two classes of one name', () => {
  it('stop the app from starting, and are told what to do', async () => {
    const starting = start(ticketsService('one'), ticketsService('two'));
    await expect(starting).rejects.toThrow(LlmCacheConfigError);
    await expect(starting).rejects.toThrow(/"TicketsService\.ask".*share answers.*@CacheLlm\(\{ name: "\.\.\." \}\)/s);
  });

  it('live together once one has a name of its own', async () => {
    const [One, Two] = [ticketsService('one'), ticketsService('two', 'tickets-v2')];
    const moduleRef = await start(One, Two);
    expect(await moduleRef.get(One).ask('a')).toBe('one');
    expect(await moduleRef.get(Two).ask('a')).toBe('two');
    expect(await moduleRef.get(One).ask('a')).toBe('one');
    expect(moduleRef.get(LlmCache).stats()).toMatchObject({ misses: 2, hits: 1 });
  });

  it.each([
    ['two methods with one given name', ticketsService('one', 'same'), ticketsService('two', 'same')],
    ['a given name that is another method\'s own', ticketsService('one'), ticketsService('two', 'TicketsService.ask')],
  ])('%s stop the app from starting', async (_case, one, two) => {
    await expect(start(one, two)).rejects.toThrow(/cache identity/);
  });

  it('bypass with a reason at the second one\'s calls when they are request-scoped', async () => {
    const [One, Two] = [ticketsService('one', undefined, Scope.REQUEST), ticketsService('two', undefined, Scope.REQUEST)];
    const moduleRef = await start(One, Two);
    const events: string[] = [];
    moduleRef.get(LlmCache).on((event) => {
      if (event.type === 'warning') events.push(`warning: ${event.message}`);
      if ('outcome' in event) events.push(`${event.type}: ${event.outcome.reason ?? ''}`);
    });
    expect(await (await moduleRef.resolve(One)).ask('a')).toBe('one');
    expect(await (await moduleRef.resolve(Two)).ask('a')).toBe('two');
    expect(await (await moduleRef.resolve(Two)).ask('a')).toBe('two');
    expect(await (await moduleRef.resolve(One)).ask('a')).toBe('one');
    expect(events.map((event) => event.slice(0, 8))).toEqual(['miss: ', 'warning:', 'bypass: ', 'bypass: ', 'hit: ']);
    expect(events[1]).toMatch(/TicketsService\.ask.*runs uncached.*`name`/s);
    expect(events[2]).toMatch(/`name`/);
  });

  it('in two apps do not meet', async () => {
    const [One, Two] = [ticketsService('one'), ticketsService('two')];
    const [first, second] = [await start(One), await start(Two)];
    expect(await first.get(One).ask('a')).toBe('one');
    expect(await second.get(Two).ask('a')).toBe('two');
  });
});

describe('identities that only look different', () => {
  it('two symbol keys of one description stop the app from starting', async () => {
    const [one, two] = [Symbol('ask'), Symbol('ask')];
    @Injectable()
    class Symbols {
      @CacheLlm()
      async [one](): Promise<string> {
        return 'one';
      }

      @CacheLlm()
      async [two](): Promise<string> {
        return 'two';
      }
    }
    await expect(start(Symbols)).rejects.toThrow(/"Symbols\.\[ask\]"/);
  });

  it('a decorated override in a class named like its base stops the app from starting', async () => {
    const Base = ticketsService('one');
    @Injectable()
    class TicketsService extends Base {
      @CacheLlm()
      override async ask(question: string): Promise<string> {
        return `override of ${await super.ask(question.trim())}`;
      }
    }
    await expect(start(TicketsService)).rejects.toThrow(/"TicketsService\.ask"/);
  });
});

describe('one class', () => {
  it('may be provided under several tokens', async () => {
    const Service = ticketsService('one');
    const moduleRef = await start({ provide: 'A', useClass: Service }, { provide: 'B', useClass: Service });
    expect(await moduleRef.get<Asking>('A').ask('a')).toBe('one');
    expect(await moduleRef.get<Asking>('B').ask('a')).toBe('one');
    expect(moduleRef.get(LlmCache).stats()).toMatchObject({ misses: 1, hits: 1 });
  });

  it('may not give one name to two of its methods', async () => {
    @Injectable()
    class Twice {
      @CacheLlm({ name: 'same' })
      async one(): Promise<string> {
        return 'one';
      }

      @CacheLlm({ name: 'same' })
      async two(): Promise<string> {
        return 'two';
      }
    }
    await expect(start(Twice)).rejects.toThrow(/"same"/);
  });

  it('keeps its answers when its class is renamed, under a name of its own', async () => {
    const before = ticketsService('one', 'tickets.ask');
    @Injectable()
    class RenamedService implements Asking {
      @CacheLlm({ name: 'tickets.ask' })
      async ask(_question: string): Promise<string> {
        return 'never called';
      }
    }
    const llmCache = new LlmCache();
    const parts = llmCache.partsOf(new before(), 'ask', ['a']);
    expect(llmCache.explain(parts, llmCache.partsOf(new RenamedService(), 'ask', ['a']))).toEqual([]);
    await llmCache.close();
  });
});
