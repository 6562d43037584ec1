import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { deferred } from '../fixtures/deferred.js';

const HEAD = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'test-model' };

/** An LLM server whose streams a test writes by hand, and which sees when nobody reads them any more. */
export class ChatUpstream {
  /** The answers under way, in the order of their requests. */
  readonly streams: HandWrittenStream[] = [];
  private readonly server: Server;
  private arrival = deferred();

  constructor() {
    this.server = createServer((request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      this.streams.push(new HandWrittenStream(response));
      this.arrival.resolve();
      this.arrival = deferred();
    });
  }

  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  /** The answer to the nth request, once that has come. */
  async stream(index: number): Promise<HandWrittenStream> {
    while (this.streams.length <= index) await this.arrival.promise;
    return this.streams[index]!;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

export class HandWrittenStream {
  /** Resolves when the connection is closed: to `false` before the end of the answer. */
  readonly closed: Promise<boolean>;

  constructor(private readonly response: ServerResponse) {
    this.closed = once(response, 'close').then(() => response.writableFinished);
  }

  say(...words: string[]): void {
    for (const content of words) this.send({ ...HEAD, choices: [{ index: 0, delta: { role: 'assistant', content }, finish_reason: null }] });
  }

  end(): void {
    this.send({ ...HEAD, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
    this.send({ ...HEAD, choices: [], usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 } });
    this.response.end('data: [DONE]\n\n');
  }

  fail(error: object): void {
    this.send({ error });
    this.response.end();
  }

  breakOff(): void {
    this.response.destroy();
  }

  private send(event: object): void {
    this.response.write(`data: ${JSON.stringify(event)}\n\n`);
  }
}
