import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { AppModule } from './app.module.js';
import { type ChosenLlm, CHOSEN_LLM } from './llm/choose-llm.js';

const app = await NestFactory.create<NestExpressApplication>(AppModule);
// Express takes 100 kB. A conversation with an image is more.
app.useBodyParser('json', { limit: '10mb' });
app.enableShutdownHooks();
await app.listen(app.get(ConfigService).get<string>('PORT', '3000'), '127.0.0.1');

const logger = new Logger('SampleApp');
logger.log(app.get<ChosenLlm>(CHOSEN_LLM).announcement);
const url = await app.getUrl();
logger.log(`Listening on ${url}`);
logger.log(`Ask it twice: curl -i ${url}/ask -H 'content-type: application/json' -d '{"question":"What is the capital of Japan?"}'`);
