import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, type Provider } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheLlm, LlmCache, type LlmCacheEvent, LlmCacheModule } from 'nestjs-llm-cache';

const open: TestingModule[] = [];
const upstream: string[] = [];
let outcomes: string[] = [];

afterEach(async () => {
  for (const moduleRef of open.splice(0)) await moduleRef.close();
  upstream.length = 0;
});

async function start(...providers: Provider[]): Promise<TestingModule> {
  const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers }).compile();
  open.push(moduleRef);
  outcomes = [];
  moduleRef.get(LlmCache).on((event: LlmCacheEvent) => {
    if ('outcome' in event) outcomes.push([event.type, event.name, event.outcome.reason].filter(Boolean).join(' '));
  });
  return moduleRef.init();
}

@Injectable()
class Base {
  @CacheLlm()
  async ask(question: string): Promise<string> {
    upstream.push(`Base ${question}`);
    return `base: ${question}`;
  }
}

describe('a decorated method and its subclasses', () => {
  it('is cached where it is inherited, under the name of both classes', async () => {
    @Injectable()
    class Heir extends Base {}
    const service = (await start(Heir)).get(Heir);
    await service.ask('a');
    expect(await service.ask('a')).toBe('base: a');
    expect(upstream).toEqual(['Base a']);
    expect(outcomes).toEqual(['miss Heir#Base.ask', 'hit Heir#Base.ask']);
  });

  it('runs plain where a subclass overrides it without the decorator', async () => {
    @Injectable()
    class Plain extends Base {
      override async ask(question: string): Promise<string> {
        upstream.push(`Plain ${question}`);
        return `plain: ${question}`;
      }
    }
    const service = (await start(Plain)).get(Plain);
    await service.ask('a');
    expect(await service.ask('a')).toBe('plain: a');
    expect(upstream).toEqual(['Plain a', 'Plain a']);
    expect(outcomes).toEqual([]);
  });

  it('is cached where an undecorated override calls it', async () => {
    @Injectable()
    class Shouting extends Base {
      override async ask(question: string): Promise<string> {
        return (await super.ask(question)).toUpperCase();
      }
    }
    const service = (await start(Shouting)).get(Shouting);
    await service.ask('a');
    expect(await service.ask('a')).toBe('BASE: A');
    expect(upstream).toEqual(['Base a']);
  });

  it('neither shares with nor waits for the decorated override that calls it', async () => {
    @Injectable()
    class Polite extends Base {
      @CacheLlm()
      override async ask(question: string): Promise<string> {
        upstream.push(`Polite ${question}`);
        return `please, ${await super.ask(question)}`;
      }
    }
    const service = (await start(Polite)).get(Polite);
    expect(await service.ask('a')).toBe('please, base: a');
    expect(await service.ask('a')).toBe('please, base: a');
    expect(upstream).toEqual(['Polite a', 'Base a']);
    expect(outcomes).toEqual(['miss Polite#Base.ask', 'miss Polite.ask', 'hit Polite.ask']);
  });

  it('lets a redecorated override have options of its own', async () => {
    @Injectable()
    class Versioned extends Base {
      @CacheLlm({ key: (question: string) => question.trim() })
      override async ask(question: string): Promise<string> {
        upstream.push(`Versioned ${question}`);
        return `versioned: ${question}`;
      }
    }
    const moduleRef = await start(Versioned, Base);
    await moduleRef.get(Versioned).ask('a');
    await moduleRef.get(Versioned).ask(' a ');
    await moduleRef.get(Base).ask('a');
    await moduleRef.get(Base).ask(' a ');
    expect(upstream).toEqual(['Versioned a', 'Base a', 'Base  a ']);
  });

  it('reaches through three decorated levels', async () => {
    @Injectable()
    class Middle extends Base {
      @CacheLlm()
      override async ask(question: string): Promise<string> {
        return `middle(${await super.ask(question)})`;
      }
    }
    @Injectable()
    class Top extends Middle {
      @CacheLlm()
      override async ask(question: string): Promise<string> {
        return `top(${await super.ask(question)})`;
      }
    }
    const moduleRef = await start(Top, Middle, Base);
    expect(await moduleRef.get(Top).ask('a')).toBe('top(middle(base: a))');
    expect(await moduleRef.get(Middle).ask('a')).toBe('middle(base: a)');
    expect(await moduleRef.get(Base).ask('a')).toBe('base: a');
    expect(outcomes).toEqual([
      'miss Top#Base.ask',
      'miss Top#Middle.ask',
      'miss Top.ask',
      'miss Middle#Base.ask',
      'miss Middle.ask',
      'miss Base.ask',
    ]);
  });

  it('is not shared by two subclasses: what `this` gives them may differ', async () => {
    abstract class Translator {
      protected abstract readonly language: string;

      @CacheLlm()
      async translate(text: string): Promise<string> {
        upstream.push(`${this.language} ${text}`);
        return `${text} in ${this.language}`;
      }
    }
    @Injectable()
    class French extends Translator {
      protected readonly language = 'French';
    }
    @Injectable()
    class German extends Translator {
      protected readonly language = 'German';
    }
    const moduleRef = await start(French, German);
    const [french, german] = [moduleRef.get(French), moduleRef.get(German)];
    expect(await Promise.all([french.translate('x'), german.translate('x')])).toEqual(['x in French', 'x in German']);
    expect(await french.translate('x')).toBe('x in French');
    expect(upstream).toEqual(['French x', 'German x']);
  });

  it('is not shared by a class and its subclass', async () => {
    @Injectable()
    class Heir extends Base {}
    const moduleRef = await start(Base, Heir);
    await moduleRef.get(Base).ask('a');
    await moduleRef.get(Heir).ask('a');
    expect(outcomes).toEqual(['miss Base.ask', 'miss Heir#Base.ask']);
  });

  it('is shared by subclasses under a name of its own', async () => {
    abstract class Named {
      @CacheLlm({ name: 'glossary' })
      async define(term: string): Promise<string> {
        upstream.push(term);
        return `definition of ${term}`;
      }
    }
    @Injectable()
    class One extends Named {}
    @Injectable()
    class Two extends Named {}
    const moduleRef = await start(One, Two);
    await moduleRef.get(One).define('x');
    await moduleRef.get(Two).define('x');
    expect(upstream).toEqual(['x']);
    expect(outcomes).toEqual(['miss glossary', 'hit glossary']);
  });
});
