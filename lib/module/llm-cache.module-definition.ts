import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { LlmCacheOptions } from './llm-cache-options.js';

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<LlmCacheOptions>({ moduleName: 'LlmCache' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createLlmCacheOptions')
    .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({ ...definition, global: isGlobal }))
    .build();
