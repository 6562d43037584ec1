import type { Server } from 'node:http';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LLMock } from '@copilotkit/aimock';
import type { INestApplication } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { Test } from '@nestjs/testing';
import request from 'supertest';
import { AppModule } from '../../sample-app/src/app.module.js';
import { startCannedLlm } from '../../sample-app/src/llm/canned-llm.js';

/** The sample app over HTTP, the LLM server behind it, and the file of its cache. */
export class SampleApp {
  private readonly running: INestApplication[] = [];
  private llmStopped: Promise<void> | undefined;

  private constructor(
    readonly llm: LLMock,
    private readonly folder: string,
  ) {}

  static async prepare(): Promise<SampleApp> {
    return new SampleApp(await startCannedLlm({ instant: true }), await mkdtemp(join(tmpdir(), 'sample-app-')));
  }

  /** Starts the app on a free loopback port; a second start uses the same file. */
  async start(settings: Record<string, string> = {}): Promise<INestApplication> {
    const environment: Record<string, string | undefined> = {
      LLM_BASE_URL: `${this.llm.url}/v1`,
      LLM_MODEL: 'test-model',
      LLM_RETRIES: '0',
      LLM_CACHE_PATH: this.cacheFile,
      ...settings,
    };
    const module = await Test.createTestingModule({ imports: [AppModule] })
      // A developer's own variables must not reach a test: LLM_BASE_URL spends money.
      .overrideProvider(ConfigService)
      .useValue({ get: (name: string, fallback?: string) => environment[name] ?? fallback })
      .compile();
    const app = module.createNestApplication({ logger: false });
    this.running.push(app);
    await app.listen(0, '127.0.0.1');
    return app;
  }

  private get cacheFile(): string {
    return join(this.folder, 'cache.db');
  }

  /** How many chat completions the LLM server's journal holds. */
  get upstreamCalls(): number {
    return this.llm.getRequests().filter(({ path }) => path === '/v1/chat/completions').length;
  }

  /** Holds the next answer back: `asked` resolves when the LLM has the request, `answer` lets it answer. */
  holdAnswer(): { asked: Promise<void>; answer: (content: string) => void } {
    const asked = deferred<void>();
    const answer = deferred<string>();
    this.llm.prependFixture({
      match: { endpoint: 'chat', sequenceIndex: 0 },
      response: async () => {
        asked.resolve();
        return { content: await answer.promise };
      },
    });
    return { asked: asked.promise, answer: answer.resolve };
  }

  /** Bytes in the write-ahead log: what a proper end has brought into the database file. */
  async unfinishedWrites(): Promise<number> {
    const log = await stat(`${this.cacheFile}-wal`).catch(() => undefined);
    return log?.size ?? 0;
  }

  /** Everything that is on the disk: the database, its write-ahead log, and what else may be there. */
  async atRest(): Promise<Buffer> {
    const names = await readdir(this.folder);
    // SQLite removes files of its own; one that is gone meanwhile holds nothing.
    const gone = (error: { code?: string }): Buffer => {
      if (error.code !== 'ENOENT') throw error as Error;
      return Buffer.alloc(0);
    };
    return Buffer.concat(await Promise.all(names.map((name) => readFile(join(this.folder, name)).catch(gone))));
  }

  async stopLlm(): Promise<void> {
    this.llmStopped ??= this.llm.stop();
    await this.llmStopped;
  }

  async close(): Promise<void> {
    // Nest 11 runs the shutdown hooks again when an app is closed twice.
    const open = this.running.filter((app) => (app.getHttpServer() as Server).listening);
    await Promise.all(open.map((app) => app.close()));
    await this.stopLlm();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** `POST` with a JSON body. */
export function post(app: INestApplication, path: string, body: object, headers: Record<string, string> = {}): request.Test {
  return request(app.getHttpServer()).post(path).set(headers).send(body);
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}
