import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { LlmCacheModule, LlmService, type PiiDetector, type PiiRedactor, type PiiSpan, type Redaction } from 'nestjs-llm-cache';
import { FakeLlmProvider } from 'nestjs-llm-cache/testing';
import { opened } from '../../fixtures/apps.js';
import { ask, echo } from '../../fixtures/batches.js';

/** Stands in for Presidio's analyzer: finds names, and speaks its HTTP API. */
async function analyzer(): Promise<{ url: string; texts: string[]; close: () => Promise<void> }> {
  const texts: string[] = [];
  const server = createServer((request, reply) => {
    let body = '';
    request.on('data', (piece) => (body += String(piece)));
    request.on('end', () => {
      const { text } = JSON.parse(body) as { text: string };
      texts.push(text);
      const found = [...text.matchAll(/\b(?:Ann|Ben)\b/g)].map(({ index, 0: name }) => ({ start: index, end: index + name.length, entity_type: 'PERSON', score: 0.85 }));
      reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(found));
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, texts, close: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** What a team writes to use its own analyzer. */
@Injectable()
class PresidioDetector implements PiiDetector {
  readonly id = 'presidio';
  readonly version = '2.2';
  url = '';

  async detect(text: string, { signal }: { signal?: AbortSignal }): Promise<PiiSpan[]> {
    const response = await fetch(`${this.url}/analyze`, { method: 'POST', body: JSON.stringify({ text, language: 'en' }), signal: signal ?? null });
    const found = (await response.json()) as Array<{ start: number; end: number; entity_type: string; score: number }>;
    return found.map(({ start, end, entity_type: type, score }) => ({ start, end, type, score }));
  }
}

@Module({ providers: [PresidioDetector], exports: [PresidioDetector] })
class PresidioModule {}

const closing: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

describe('the hook', () => {
  it('comes from the container, and may ask a server', async () => {
    const { url, texts, close } = await analyzer();
    closing.push(close);
    const provider = new FakeLlmProvider((request) => `You said: ${echo(request)}`);
    const moduleRef = await Test.createTestingModule({
      imports: [
        PresidioModule,
        LlmCacheModule.forRootAsync({
          imports: [PresidioModule],
          inject: [PresidioDetector],
          useFactory: (presidio: PresidioDetector) => ({ provider, pii: { mode: 'pseudonymize' as const, detectors: [presidio] } }),
        }),
      ],
    }).compile();
    opened(moduleRef);
    moduleRef.get(PresidioDetector).url = url;
    const llm = moduleRef.get(LlmService);
    const answers = await Promise.all(['Ann', 'Ben'].map((name) => llm.text(`Greet ${name} of ${name.toLowerCase()}@example.com`)));
    expect(answers).toEqual(['You said: Greet Ann of ann@example.com', 'You said: Greet Ben of ben@example.com']);
    expect(provider.calls.map(echo)).toEqual(['Greet [[PERSON_1]] of [[EMAIL_1]]']);
    expect(texts).toContain('Greet Ann of ann@example.com');
  });

  it('sees every text that leaves, and no ids, models, numbers or bytes', async () => {
    const seen: string[] = [];
    const provider = new FakeLlmProvider('ok');
    const redactor = (text: string): string => {
      seen.push(text);
      return text;
    };
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot({ provider, pii: { mode: 'redact', redactor } })] }).compile();
    opened(moduleRef);
    await moduleRef.get(LlmService).chat({
      model: 'gpt-4o-mini',
      temperature: 0,
      user: 'a user',
      headers: { authorization: 'Bearer key' },
      messages: [
        { role: 'system', content: 'a system prompt' },
        { role: 'user', name: 'a name', content: [
          { type: 'text', text: 'a part' },
          { type: 'image_url', image_url: { url: `data:image/png;base64,${'QUJD'.repeat(100)}` } },
          { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } },
        ] },
        { role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'find', arguments: '{"who":"an argument"}' } }] },
        { role: 'tool', tool_call_id: 'call_1', content: 'a result' },
      ],
      tools: [{ type: 'function', function: { name: 'find', description: 'a description', parameters: { type: 'object', properties: { who: { type: 'string', description: 'a schema text' } } } } }],
    });
    for (const text of ['a system prompt', 'a name', 'a part', '{"who":"an argument"}', 'a result', 'a description', 'a schema text', 'a user']) expect(seen).toContain(text);
    expect(seen.join('\n')).not.toMatch(/call_1|gpt-4o|base64|UklGRg|Bearer|^\d+$/m);
  });

  it('whose way back fails does not cost the answer', async () => {
    const redactor: PiiRedactor = {
      id: 'one-way',
      version: '1',
      redact: (value) => ({
        value,
        found: [],
        rehydrate: () => {
          throw new Error('lost');
        },
        rehydrateStream: () => ({ push: (piece) => piece, end: () => '' }),
      }),
    };
    const provider = new FakeLlmProvider('Dear [[PERSON_1]]');
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot({ provider, pii: { mode: 'pseudonymize', redactor } })] }).compile();
    opened(moduleRef);
    expect(await moduleRef.get(LlmService).text('Hello')).toBe('Dear [[PERSON_1]]');
  });

  it('may be a whole redactor, with its own way back', async () => {
    const provider = new FakeLlmProvider((request) => `Dear ${echo(request)}`);
    const redactor: PiiRedactor = {
      id: 'upside-down',
      version: '1',
      redact<T>(value: T): Redaction<T> {
        const swap = (from: string, to: string) => (text: unknown): unknown => JSON.parse(JSON.stringify(text).replaceAll(from, to)) as unknown;
        const [hide, show] = [swap('Ann', 'X'), swap('X', 'Ann')];
        return {
          value: hide(value) as T,
          found: JSON.stringify(value).includes('Ann') ? [{ type: 'PERSON', path: [] }] : [],
          rehydrate: (answer) => show(answer) as typeof answer,
          rehydrateStream: () => ({ push: (piece) => piece.replaceAll('X', 'Ann'), end: () => '' }),
        };
      },
    };
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot({ provider, pii: { mode: 'pseudonymize', redactor } })] }).compile();
    opened(moduleRef);
    const llm = moduleRef.get(LlmService);
    for (let time = 0; time < 2; time++) expect(await llm.text('Ann')).toBe('Dear Ann');
    expect(provider.calls.map(echo)).toEqual(['X']);
    const chunks: string[] = [];
    for await (const { choices } of llm.stream(ask('Ann'))) chunks.push(choices[0]?.delta.content ?? '');
    expect(chunks.join('')).toBe('Dear Ann');
  });
});
