import { Module } from '@nestjs/common';
import { ChatCompletionsController } from './chat-completions.controller.js';

/** An OpenAI-compatible endpoint over the cache. */
@Module({ controllers: [ChatCompletionsController] })
export class OpenAiModule {}
