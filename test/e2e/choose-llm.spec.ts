import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { ConfigService } from '@nestjs/config';
import { type ChosenLlm, chooseLlm } from '../../sample-app/src/llm/choose-llm.js';

const QUESTION = { messages: [{ role: 'user', content: 'What is the capital of Japan?' }] };

describe('chooseLlm', () => {
  const closings: Array<() => unknown> = [];

  afterEach(async () => {
    for (const close of closings.splice(0)) await close();
  });

  it('takes LLM_BASE_URL, and does not look for Ollama then', async () => {
    const server = await serve((request, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ choices: [{ message: { content: request.headers.authorization } }] }));
    });
    const ollama = await serve((_request, response) => response.destroy());
    const settings = { LLM_BASE_URL: `${server.url}/v1`, LLM_API_KEY: 'a-key', LLM_MODEL: 'a-model' };
    const llm = await choose(settings, ollama.url);
    expect(llm.announcement).toBe(`Answers come from ${new URL(server.url).host}, model a-model.`);
    expect(llm.model).toBe('a-model');
    expect(await textFrom(llm)).toBe('Bearer a-key');
    expect(server.paths).toEqual(['/v1/chat/completions']);
    expect(ollama.paths).toEqual([]);
  });

  it.each(['api.openai.com/v1', 'ftp://127.0.0.1', 'http://'])('refuses the address %s', async (address) => {
    await expect(choose({ LLM_BASE_URL: address })).rejects.toThrow('LLM_BASE_URL must be an address');
  });

  it.each([
    ['llama3.2', undefined],
    ['llama3.2:latest', undefined],
    ['qwen3:4b', 'qwen3:4b'],
  ])('takes Ollama where it has the model: %s', async (name, LLM_MODEL) => {
    const ollama = await serveModels([name]);
    const llm = await choose({ LLM_MODEL }, ollama.url);
    expect(llm.announcement).toBe(`Answers come from Ollama on this machine, model ${LLM_MODEL ?? 'llama3.2'}.`);
    expect(llm.provider.id).toBe(`openai:${ollama.url}/v1`);
    expect(ollama.paths).toEqual(['/api/tags']);
  });

  it('says which model to pull where Ollama does not have it, and falls back to canned answers', async () => {
    const ollama = await serveModels(['another:latest']);
    const llm = await choose({ LLM_MODEL: 'qwen3:4b' }, ollama.url);
    expect(llm.announcement).toBe(
      'Ollama does not have the model (run: ollama pull qwen3:4b): answers are canned, and times are simulated.',
    );
    expect(await textFrom(llm)).toBe('Tokyo.');
  });

  it('falls back to canned answers, and says so in one line, where there is nothing', async () => {
    const { url, close } = await serve(() => {});
    await close();
    const llm = await choose({}, url);
    expect(llm.announcement).toBe(
      'No LLM found (set LLM_BASE_URL, or start Ollama): answers are canned, and times are simulated.',
    );
    expect(await textFrom(llm)).toBe('Tokyo.');
  });

  it.each<[string, RequestListener]>([
    ['never answers', () => {}],
    ['answers no JSON', (_request, response) => response.end('hello')],
    ['answers other JSON', (_request, response) => response.end('{"models":7}')],
    ['answers 500', (_request, response) => response.writeHead(500).end()],
  ])('does not take for Ollama what %s', async (_case, listener) => {
    const { url } = await serve(listener);
    const startedAt = performance.now();
    const llm = await choose({}, url);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect(llm.announcement).toMatch(/^No LLM found/);
  });

  async function choose(settings: Record<string, string | undefined>, ollamaUrl?: string): Promise<ChosenLlm> {
    const config = { get: (name: string, fallback?: string) => settings[name] ?? fallback } as ConfigService;
    const llm = await chooseLlm(config, ollamaUrl);
    if (llm.stop) closings.push(llm.stop);
    return llm;
  }

  async function serve(listener: RequestListener): Promise<{ url: string; paths: string[]; close: () => Promise<void> }> {
    const paths: string[] = [];
    const server = createServer((request, response) => {
      paths.push(request.url ?? '');
      listener(request, response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const close = (): Promise<void> => stop(server);
    closings.push(close);
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, paths, close };
  }

  function serveModels(names: string[]): ReturnType<typeof serve> {
    return serve((_request, response) => response.end(JSON.stringify({ models: names.map((name) => ({ name })) })));
  }
});

async function textFrom(llm: ChosenLlm): Promise<unknown> {
  const answer = await llm.provider.chat({ model: llm.model, ...QUESTION }, { signal: new AbortController().signal });
  return answer.choices[0]?.message.content;
}

async function stop(server: Server): Promise<void> {
  if (!server.listening) return;
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
}
