import { once } from 'node:events';
import { createServer } from 'node:http';

/** An LLM as far as this demo is concerned: it counts its calls, and answers each with its number. */
export class CountingUpstream {
  calls = 0;
  /** Called with its number when a call has arrived. */
  onCall = () => {};

  static async start(answerMs) {
    const upstream = new CountingUpstream(answerMs);
    // A thousand callers may come at once.
    upstream.server.listen({ port: 0, host: '127.0.0.1', backlog: 2_000 });
    await once(upstream.server, 'listening');
    return upstream;
  }

  constructor(answerMs) {
    this.held = undefined;
    this.server = createServer((request, response) => {
      request.resume();
      const call = (this.calls += 1);
      const answer = () => response.end(`answer ${call}`);
      if (this.held === undefined) setTimeout(answer, answerMs);
      else this.held.set(call, answer);
      this.onCall(call);
    });
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  /** Counts from one again. With `holds` calls are answered by {@link answer} alone. */
  begin({ holds = false } = {}) {
    this.calls = 0;
    this.held = holds ? new Map() : undefined;
  }

  /** Resolves when so many calls have arrived. */
  async arrived(calls) {
    while (this.calls < calls) await new Promise((resolve) => (this.onCall = resolve));
  }

  answer(call) {
    this.held.get(call)();
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
