import { beforeEach, describe, expect, it } from '@jest/globals';
import {
forwardRef,
Inject,
Injectable,Module,
type ModuleMetadata,
type OnModuleInit
} from '@nestjs/common';
import { ExternalContextCreator, LazyModuleLoader, NestFactory } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheLlm, LlmCache, LlmCacheModule } from 'nestjs-llm-cache';
import { opened } from '../fixtures/apps.js';

let upstream = 0;

beforeEach(() => {
  upstream = 0;
});

async function compile(metadata: ModuleMetadata): Promise<TestingModule> {
  const moduleRef = await Test.createTestingModule(metadata).compile();
  opened(moduleRef);
  return moduleRef;
}

@Injectable()
class Asker {
  @CacheLlm()
  async ask(question: string): Promise<string> {
    upstream++;
    return `answer ${upstream} to ${question}`;
  }
}

describe('without LlmCacheModule', () => {
  it('the app does not start, and Nest names what to import', async () => {
    await expect(compile({ providers: [Asker] })).rejects.toThrow(/Asker.*import LlmCacheModule\.forRoot\(\)/s);
  });

  it('the app does not start when the bare module class is imported', async () => {
    await expect(compile({ imports: [LlmCacheModule], providers: [Asker] })).rejects.toThrow(/import LlmCacheModule\.forRoot\(\)/);
  });

  it('`optional: true` falls through', async () => {
    @Injectable()
    class Optional {
      @CacheLlm({ optional: true })
      async ask(): Promise<number> {
        return ++upstream;
      }
    }
    const service = (await compile({ providers: [Optional] })).get(Optional);
    expect([await service.ask(), await service.ask()]).toEqual([1, 2]);
  });

  it('`optional: true` on one method does not make another of the class optional', async () => {
    @Injectable()
    class Mixed {
      @CacheLlm({ optional: true })
      async one(): Promise<number> {
        return 1;
      }

      @CacheLlm()
      async two(): Promise<number> {
        return 2;
      }
    }
    await expect(compile({ providers: [Mixed] })).rejects.toThrow(/import LlmCacheModule\.forRoot\(\)/);
  });

  it('`optional: true` caches where the module is imported', async () => {
    @Injectable()
    class Optional {
      @CacheLlm({ optional: true })
      async ask(): Promise<number> {
        return ++upstream;
      }
    }
    const service = (await compile({ imports: [LlmCacheModule.forRoot()], providers: [Optional] })).get(Optional);
    expect([await service.ask(), await service.ask()]).toEqual([1, 1]);
  });
});

describe('two apps in one process', () => {
  it('share nothing, and one goes on when the other is closed', async () => {
    const make = (options: Parameters<typeof LlmCacheModule.forRoot>[0]) =>
      compile({ imports: [LlmCacheModule.forRoot(options)], providers: [Asker] });
    const [first, second] = [await make({ version: 1 }), await make({ mode: 'off' })];
    const third = await make({ version: 1 });

    expect(await first.get(Asker).ask('a')).toBe('answer 1 to a');
    expect(await third.get(Asker).ask('a')).toBe('answer 2 to a');
    expect(await second.get(Asker).ask('a')).toBe('answer 3 to a');
    expect(await second.get(Asker).ask('a')).toBe('answer 4 to a');
    expect(await first.get(Asker).ask('a')).toBe('answer 1 to a');

    await first.close();
    expect(await third.get(Asker).ask('a')).toBe('answer 2 to a');
    expect(third.get(LlmCache).stats()).toMatchObject({ hits: 1, misses: 1 });
    expect(second.get(LlmCache).stats()).toMatchObject({ bypassed: 2 });
  });

  it('a closed app still answers calls, uncached', async () => {
    const app = await compile({ imports: [LlmCacheModule.forRoot()], providers: [Asker] });
    const asker = app.get(Asker);
    await asker.ask('a');
    await app.close();
    expect(await asker.ask('a')).toBe('answer 2 to a');
  });
});

describe('ways to reach a provider', () => {
  it('a lazy-loaded module', async () => {
    @Module({ providers: [Asker], exports: [Asker] })
    class LazyModule {}
    const moduleRef = await compile({ imports: [LlmCacheModule.forRoot()] });
    await moduleRef.init();
    const lazy = await moduleRef.get(LazyModuleLoader).load(() => LazyModule);
    const asker = lazy.get(Asker);
    await asker.ask('a');
    await asker.ask('a');
    expect(upstream).toBe(1);
  });

  it('a circle of forwardRefs', async () => {
    @Injectable()
    class Left {
      constructor(@Inject(forwardRef(() => Right)) readonly right: { ask(): Promise<number> }) {}

      @CacheLlm()
      async ask(): Promise<number> {
        return ++upstream;
      }
    }
    @Injectable()
    class Right {
      constructor(@Inject(forwardRef(() => Left)) readonly left: { ask(): Promise<number> }) {}

      @CacheLlm()
      async ask(): Promise<number> {
        return 100 + (await this.left.ask());
      }
    }
    const moduleRef = await compile({ imports: [LlmCacheModule.forRoot()], providers: [Left, Right] });
    await moduleRef.init();
    expect(await moduleRef.get(Left).right.ask()).toBe(101);
    expect(await moduleRef.get(Left).right.ask()).toBe(101);
    expect(await moduleRef.get(Right).left.ask()).toBe(1);
    expect(upstream).toBe(1);
  });

  it('another provider\'s constructor and onModuleInit', async () => {
    @Injectable()
    class Eager implements OnModuleInit {
      readonly first: Promise<string>;

      constructor(private readonly asker: Asker) {
        this.first = asker.ask('a');
      }

      async onModuleInit(): Promise<void> {
        await this.first;
        await this.asker.ask('a');
      }
    }
    const moduleRef = await compile({ imports: [LlmCacheModule.forRoot()], providers: [Eager, Asker] });
    await moduleRef.init();
    expect(upstream).toBe(1);
    expect(moduleRef.get(LlmCache).stats()).toMatchObject({ misses: 1, hits: 1 });
  });

  it('its own constructor, before anything is injected: uncached', async () => {
    @Injectable()
    class Impatient {
      readonly first = this.ask();

      @CacheLlm()
      async ask(): Promise<number> {
        return ++upstream;
      }
    }
    const service = (await compile({ imports: [LlmCacheModule.forRoot()], providers: [Impatient] })).get(Impatient);
    expect(await service.first).toBe(1);
    expect([await service.ask(), await service.ask()]).toEqual([2, 2]);
  });

  it('NestFactory.createApplicationContext', async () => {
    @Module({ imports: [LlmCacheModule.forRoot()], providers: [Asker] })
    class AppModule {}
    const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
    opened(app);
    await app.get(Asker).ask('a');
    await app.get(Asker).ask('a');
    expect(upstream).toBe(1);
  });

  it('ExternalContextCreator, as GraphQL resolvers and gateways use it', async () => {
    const moduleRef = await compile({ imports: [LlmCacheModule.forRoot()], providers: [Asker] });
    await moduleRef.init();
    const asker = moduleRef.get(Asker);
    const handler = moduleRef.get(ExternalContextCreator, { strict: false }).create(asker, asker.ask as (...args: unknown[]) => unknown, 'ask');
    expect(await handler('a')).toBe('answer 1 to a');
    expect(await handler('a')).toBe('answer 1 to a');
    expect(await asker.ask('a')).toBe('answer 1 to a');
  });
});
