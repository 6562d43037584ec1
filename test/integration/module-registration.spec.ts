import { describe, expect, it } from '@jest/globals';
import { Inject, Injectable, Module, type ModuleMetadata } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import {
CacheLlm,
LlmCache,
type LlmCacheAsyncOptions,
LlmCacheConfigError,
LlmCacheModule,
type LlmCacheOptions,
type LlmCacheOptionsFactory,
LlmService,
} from 'nestjs-llm-cache';
import { FakeLlmProvider } from 'nestjs-llm-cache/testing';
import { opened } from '../fixtures/apps.js';

async function compile(metadata: ModuleMetadata): Promise<TestingModule> {
  const moduleRef = await Test.createTestingModule(metadata).compile();
  opened(moduleRef);
  return moduleRef;
}

/** The namespace tells which options arrived: it is part of every key. */
function namespaceOf(moduleRef: TestingModule): string | undefined {
  return moduleRef.get(LlmCache, { strict: false }).keyFor({ name: 'n', input: 1 }).split('.')[1];
}

@Injectable()
class Settings {
  readonly namespace = 'from-settings';
}

@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}

@Injectable()
class OptionsFromSettings implements LlmCacheOptionsFactory {
  constructor(private readonly settings: Settings) {}

  createLlmCacheOptions(): LlmCacheOptions {
    return { namespace: this.settings.namespace };
  }
}

@Module({ imports: [SettingsModule], providers: [OptionsFromSettings], exports: [OptionsFromSettings] })
class OptionsModule {}

describe('LlmCacheModule.forRoot', () => {
  it('works without options, and provides LlmCache and LlmService', async () => {
    const moduleRef = await compile({ imports: [LlmCacheModule.forRoot()] });
    expect(moduleRef.get(LlmCache)).toBeInstanceOf(LlmCache);
    expect(moduleRef.get(LlmService)).toBeInstanceOf(LlmService);
    expect(namespaceOf(moduleRef)).toBe('llm');
  });

  it('takes options', async () => {
    expect(namespaceOf(await compile({ imports: [LlmCacheModule.forRoot({ namespace: 'mine' })] }))).toBe('mine');
  });

  it('injects by type', async () => {
    @Injectable()
    class Consumer {
      constructor(
        readonly llmCache: LlmCache,
        readonly llm: LlmService,
      ) {}
    }
    const moduleRef = await compile({ imports: [LlmCacheModule.forRoot()], providers: [Consumer] });
    expect(moduleRef.get(Consumer)).toMatchObject({ llmCache: moduleRef.get(LlmCache), llm: moduleRef.get(LlmService) });
  });
});

describe('LlmCacheModule.forRoot, wrongly called', () => {
  const register = (options: unknown) => async () => compile({ imports: [LlmCacheModule.forRoot(options as LlmCacheOptions)] });

  it.each([null, 1, 'redis://user:pass@host', true, [], () => ({})])('fails at start-up with %p for options', async (options) => {
    await expect(register(options)()).rejects.toThrow(LlmCacheConfigError);
    await expect(register(options)()).rejects.not.toThrow(/pass/);
  });

  it.each([null, 0, 'no', {}])('fails at start-up with isGlobal: %p', async (isGlobal) => {
    await expect(register({ isGlobal })()).rejects.toThrow(LlmCacheConfigError);
    await expect(register({ isGlobal })()).rejects.toThrow(/"isGlobal" must be true or false/);
  });
});

describe('LlmCacheModule.forRootAsync', () => {
  it('fails with LlmCacheConfigError when the class of useClass makes no options', async () => {
    @Injectable()
    class Nothing {}
    const starting = (async () => compile({ imports: [LlmCacheModule.forRootAsync({ useClass: Nothing as never })] }))();
    await expect(starting).rejects.toThrow(LlmCacheConfigError);
    await expect(starting).rejects.toThrow(/createLlmCacheOptions/);
  });

  it.each<[string, LlmCacheAsyncOptions]>([
    ['useFactory', { useFactory: () => ({ namespace: 'from-settings' }) }],
    ['an async useFactory', { useFactory: async () => ({ namespace: 'from-settings' }) }],
    [
      'useFactory with imports and inject',
      { imports: [SettingsModule], inject: [Settings], useFactory: ({ namespace }: Settings) => ({ namespace }) },
    ],
    [
      'useFactory with an optional dependency that is missing',
      {
        inject: [{ token: 'MISSING', optional: true }],
        useFactory: (missing?: string) => ({ namespace: missing ?? 'from-settings' }),
      },
    ],
    ['useClass', { imports: [SettingsModule], useClass: OptionsFromSettings }],
    ['useExisting', { imports: [OptionsModule], useExisting: OptionsFromSettings }],
  ])('takes options from %s', async (_way, options) => {
    expect(namespaceOf(await compile({ imports: [LlmCacheModule.forRootAsync(options)] }))).toBe('from-settings');
  });

  it('waits for options that take their time', async () => {
    let give!: (options: LlmCacheOptions) => void;
    const compiling = compile({
      imports: [LlmCacheModule.forRootAsync({ useFactory: () => new Promise((resolve) => (give = resolve)) })],
    });
    await new Promise(setImmediate);
    give({ namespace: 'late' });
    expect(namespaceOf(await compiling)).toBe('late');
  });

  it.each<[string, unknown]>([
    ['none of the three', {}],
    ['useFactory and useClass', { useFactory: () => ({}), useClass: OptionsFromSettings }],
    ['useFactory and useExisting', { useFactory: () => ({}), useExisting: OptionsFromSettings }],
    ['useClass and useExisting', { useClass: OptionsFromSettings, useExisting: OptionsFromSettings }],
    ['all three', { useFactory: () => ({}), useClass: OptionsFromSettings, useExisting: OptionsFromSettings }],
  ])('refuses %s', (_case, options) => {
    const register = () => LlmCacheModule.forRootAsync(options as LlmCacheAsyncOptions);
    expect(register).toThrow(LlmCacheConfigError);
    expect(register).toThrow('LlmCacheModule.forRootAsync: give exactly one of useFactory, useClass and useExisting');
  });

  it.each<[string, unknown, RegExp]>([
    ['no options', undefined, /options must be an object, not undefined/],
    ['null', null, /options must be an object, not null/],
    ['a function', () => ({}), /options must be an object, not a function/],
    ['useFactory that is no function', { useFactory: {} }, /"useFactory" must be a function/],
    ['useClass that is no class', { useClass: 'Options' }, /"useClass" must be a class/],
    ['imports that are no array', { useFactory: () => ({}), imports: SettingsModule }, /"imports" must be an array/],
    ['inject that is no array', { useFactory: () => ({}), inject: Settings }, /"inject" must be an array/],
    ['isGlobal that is no boolean', { useFactory: () => ({}), isGlobal: 'yes' }, /"isGlobal" must be true or false/],
    ['options where the factory belongs', { ttl: '1d' }, /unknown option "ttl"/],
    ['an unknown option', { useFactory: () => ({}), useValue: {} }, /unknown option "useValue"/],
  ])('refuses %s', (_case, options, message) => {
    const register = () => LlmCacheModule.forRootAsync(options as LlmCacheAsyncOptions);
    expect(register).toThrow(LlmCacheConfigError);
    expect(register).toThrow(message);
  });

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['an array', []],
    ['a string', 'redis://user:pass@host'],
  ])('fails at start-up when the factory returns %s', async (_case, options) => {
    const compiling = compile({ imports: [LlmCacheModule.forRootAsync({ useFactory: () => options as LlmCacheOptions })] });
    await expect(compiling).rejects.toThrow(LlmCacheConfigError);
    await expect(compiling).rejects.toThrow(/options must be an object/);
    await expect(compiling).rejects.not.toThrow(/pass/);
  });

  it('rethrows what the factory throws', async () => {
    const failure = new Error('no such secret in the vault');
    const compiling = compile({ imports: [LlmCacheModule.forRootAsync({ useFactory: () => Promise.reject(failure) })] });
    await expect(compiling).rejects.toBe(failure);
  });
});

describe('LlmCacheModule.forRootAsync with useExisting', () => {
  it('refuses a provider without createLlmCacheOptions()', async () => {
    const started = compile({ imports: [LlmCacheModule.forRootAsync({ imports: [SettingsModule], useExisting: Settings as never })] });
    await expect(started).rejects.toMatchObject({ code: 'LLM_CACHE_CONFIG', message: expect.stringContaining('useExisting') });
  });
});

describe('isGlobal', () => {
  it('takes undefined for not given', () => {
    expect(LlmCacheModule.forRoot({ isGlobal: undefined }).global).toBe(true);
    expect(LlmCacheModule.forRootAsync({ isGlobal: undefined, useFactory: () => ({}) }).global).toBe(true);
  });

  @Injectable()
  class Feature {
    calls = 0;

    @CacheLlm()
    async ask(): Promise<number> {
      return ++this.calls;
    }
  }

  it.each<[string, () => ReturnType<typeof LlmCacheModule.forRoot>]>([
    ['forRoot', () => LlmCacheModule.forRoot({ provider: new FakeLlmProvider() })],
    ['forRootAsync', () => LlmCacheModule.forRootAsync({ useFactory: () => ({}) })],
  ])('is true by default: a feature module need not import anything (%s)', async (_way, register) => {
    @Module({ providers: [Feature] })
    class FeatureModule {}
    const moduleRef = await compile({ imports: [register(), FeatureModule] });
    const feature = moduleRef.get(Feature, { strict: false });
    expect([await feature.ask(), await feature.ask()]).toEqual([1, 1]);
  });

  const ways: Array<[string, () => ReturnType<typeof LlmCacheModule.forRoot>]> = [
    ['forRoot', () => LlmCacheModule.forRoot({ isGlobal: false })],
    ['forRootAsync', () => LlmCacheModule.forRootAsync({ isGlobal: false, useFactory: () => ({}) })],
  ];

  it.each(ways)('false: a feature module without the import does not start (%s)', async (_way, register) => {
    @Module({ providers: [Feature] })
    class FeatureModule {}
    await expect(compile({ imports: [register(), FeatureModule] })).rejects.toThrow(/Feature.*import LlmCacheModule\.forRoot\(\)/s);
  });

  it.each(ways)('false: a feature module that needs LlmService without the import does not start (%s)', async (_way, register) => {
    @Injectable()
    class Caller {
      constructor(@Inject(LlmService) readonly llm: LlmService) {}
    }
    @Module({ providers: [Caller] })
    class FeatureModule {}
    await expect(compile({ imports: [register(), FeatureModule] })).rejects.toThrow(/Caller.*LlmService/s);
  });

  it.each(ways)('false: a feature module with the import works (%s)', async (_way, register) => {
    const llmCacheModule = register();
    @Module({ imports: [llmCacheModule], providers: [Feature] })
    class FeatureModule {}
    const moduleRef = await compile({ imports: [llmCacheModule, FeatureModule] });
    const feature = moduleRef.get(Feature, { strict: false });
    expect([await feature.ask(), await feature.ask()]).toEqual([1, 1]);
    expect(moduleRef.get(LlmCache).stats()).toMatchObject({ hits: 1, misses: 1 });
  });
});
