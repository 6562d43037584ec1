// Compile-time tests of the module's options and the services; `npm run typecheck` checks them.
import { Keyv } from 'keyv';
import type { Cache } from 'cache-manager';
import { attachLlmCache, type ChatRequest, type LlmCache, LlmCacheModule, type LlmProvider, type LlmService, memoryStore, withCacheControl } from 'nestjs-llm-cache';
import { openAiProvider } from 'nestjs-llm-cache/openai';
import { FakeClock, FakeLlmProvider, LlmCacheTestingModule } from 'nestjs-llm-cache/testing';
import type { OpenAI } from 'openai';

export const registrations = (client: OpenAI, cache: Cache) => [
  LlmCacheModule.forRoot(),
  LlmCacheModule.forRoot({ isGlobal: false, ttl: '7d', stores: [memoryStore(), new Keyv()] }),
  LlmCacheModule.forRoot({ provider: openAiProvider(client), stores: cache }),
  LlmCacheModule.forRootAsync({ inject: ['CACHE', FakeClock], useFactory: (given: Cache) => ({ stores: given, ttl: '1h' }) }),
  LlmCacheTestingModule.forRoot({ clock: new FakeClock(), provider: new FakeLlmProvider('a') }),
  // @ts-expect-error no duration
  LlmCacheModule.forRoot({ ttl: '1 week' }),
  // @ts-expect-error no such option
  LlmCacheModule.forRoot({ timeToLive: '1h' }),
  LlmCacheModule.forRoot({ secret: 's', encryption: { current: 'a', keys: { a: 'in base64', b: new Uint8Array(32) } } }),
  // @ts-expect-error a number is no secret
  LlmCacheModule.forRoot({ secret: 1 }),
  // @ts-expect-error of the testing module only
  LlmCacheModule.forRoot({ clock: new FakeClock() }),
  // @ts-expect-error a string is no store
  LlmCacheModule.forRoot({ stores: 'redis://localhost' }),
  // @ts-expect-error a number is no configuration
  LlmCacheModule.forRootAsync({ useFactory: () => 1 }),
];

export async function inference(llmCache: LlmCache, llm: LlmService): Promise<void> {
  const wrapped: number = await llmCache.wrap({ name: 'n', input: [1] }, () => 1);
  const wrappedLater: string = await llmCache.wrap({ name: 'n', input: [1], model: { temperature: 0 } }, async ({ signal }) => `${signal.aborted}`);
  // @ts-expect-error the answer is a number
  const wrong: string = await llmCache.wrap({ name: 'n', input: [1] }, () => 1);
  // @ts-expect-error a name is needed
  await llmCache.wrap({ input: [1] }, () => 1);
  const inside: Promise<number> = withCacheControl({ noCache: true, maxAge: 0 }, async () => 1);
  const text: string = await llm.text('q', { temperature: 0, anything: true }, { ttl: '1m' });
  const request: ChatRequest = { messages: [{ role: 'user', content: 'q' }], seed: 1, tools: [] };
  const content: string | null | undefined = (await llm.chat(request)).choices[0]?.message.content;
  const attached: Date = attachLlmCache(new Date(), llmCache);
  void [wrapped, wrappedLater, wrong, inside, text, content, attached];
}

export const providers: LlmProvider[] = [
  new FakeLlmProvider(),
  { id: 'mine', chat: async (request, { signal }) => ({ choices: [{ message: { content: `${request.messages.length} ${signal.aborted}` } }] }) },
  // @ts-expect-error an id is needed: it joins every key
  { chat: async () => ({ choices: [] }) },
];
