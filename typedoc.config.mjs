import { OptionDefaults } from 'typedoc';

/**
 * The API reference of the entry points, written to docs/api. A warning fails: a symbol or a field without words,
 * a link that leads nowhere, a type in a signature that is neither exported nor listed here.
 *
 * @type {Partial<import('typedoc').TypeDocOptions>}
 */
export default {
  name: 'nestjs-llm-cache',
  entryPoints: ['lib/index.ts', 'lib/stores/sqlite/index.ts', 'lib/stores/redis/index.ts', 'lib/llm/providers/openai.ts', 'lib/testing/index.ts'],
  tsconfig: 'tsconfig.build.json',
  out: 'docs/api',
  readme: 'none',
  disableSources: true,
  excludeInternal: true,
  excludePrivate: true,
  excludeExternals: true,
  modifierTags: [...OptionDefaults.modifierTags, '@publicApi'],
  excludeTags: [...OptionDefaults.excludeTags, '@publicApi'],
  validation: { notExported: true, invalidLink: true, invalidPath: true, rewrittenLink: true, notDocumented: true },
  // Nobody has to name these: users pass objects of these shapes, or get them and pass them on.
  intentionallyNotExported: [
    'lib/core/clock.ts:Clock',
    'lib/decorator/cache-llm.decorator.ts:CacheLlmDecorator',
    'lib/decorator/cache-llm.decorator.ts:Infers',
    'lib/decorator/host.ts:MethodHost',
    'lib/engine/engine-options.ts:EngineOptions',
    'lib/stores/store-input.ts:CacheLike',
    'lib/stores/keyv-shape.ts:KeyvLike',
    'lib/stores/own-store.ts:OwnStoreAdapter',
    'lib/stores/store-input.ts:StorageAdapterLike',
  ],
  treatWarningsAsErrors: true,
};
