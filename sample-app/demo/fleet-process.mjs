// One process of the fleet: Nest apps over one Redis, which do what fleet.mjs tells them to.
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { CacheLlm, LlmCache, LlmCacheModule, memoryStore, withCacheControl } from 'nestjs-llm-cache';
import { redisStore } from 'nestjs-llm-cache/redis';

const [redisUrl, upstreamUrl] = process.argv.slice(2);

/** What a user writes as `@CacheLlm() async answer(question: string) { ... }`. */
class Assistant {
  async answer(question) {
    const response = await fetch(upstreamUrl, { method: 'POST', body: question });
    return response.text();
  }
}
const method = Object.getOwnPropertyDescriptor(Assistant.prototype, 'answer');
CacheLlm({ returns: 'promise' })(Assistant.prototype, 'answer', method);
Object.defineProperty(Assistant.prototype, 'answer', method);

const apps = new Map();

const orders = {
  /** Starts an app under a name. */
  async open({ app, options }) {
    const stores = [memoryStore(), redisStore(redisUrl)];
    const root = { module: Assistant, imports: [LlmCacheModule.forRoot({ ...options, stores })], providers: [Assistant] };
    const context = await NestFactory.createApplicationContext(root, { logger: ['error', 'warn'] });
    apps.set(app, { context, assistant: context.get(Assistant), llmCache: context.get(LlmCache) });
  },

  /** Many callers with one question at once: their answers, and when the last had one, milliseconds since the epoch. */
  async askAtOnce({ app, question, callers, atMs = 0 }) {
    const { assistant } = apps.get(app);
    await new Promise((resolve) => setTimeout(resolve, atMs - Date.now()));
    const answers = await Promise.all(Array.from({ length: callers }, () => assistant.answer(question)));
    return { answers: [...new Set(answers)], endedAtMs: Date.now() };
  },

  async ask({ app, question }) {
    let outcome;
    const answer = await withCacheControl({ onOutcome: (own) => (outcome = own) }, () => apps.get(app).assistant.answer(question));
    return { answer, status: outcome.status, stored: outcome.stored };
  },

  async invalidate({ app, question }) {
    const { assistant, llmCache } = apps.get(app);
    await llmCache.invalidate({ key: llmCache.partsOf(assistant, 'answer', [question]) });
  },
};

async function obey({ id, order, ...details }) {
  try {
    process.send({ id, result: await orders[order](details) });
  } catch (error) {
    process.send({ id, error: String(error?.stack ?? error) });
  }
}

process.on('message', (message) => void obey(message));
process.once('disconnect', () => {
  for (const { context } of apps.values()) void context.close(); // with the last of them nothing holds this process
});
process.send({ id: 'ready' });
