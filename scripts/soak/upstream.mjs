// The LLM server: it counts its calls, and each answer says which question it answers and when its computation began.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** A slow answer takes longer than a lease, and longer than the bound of an invalidation. */
const SLOW_MS = [1_200, 2_400];
const QUICK_MS = [15, 120];
const FAILURES = [503, 429, 500, 400];
const FAILING = 0.01;

export class Upstream {
  /** Every call that came. */
  calls = [];
  #held = [];
  #server = createServer((request, response) => void this.#answer(request, response).catch(() => response.destroy()));

  constructor(random, now) {
    this.random = random;
    this.now = now;
    // A kept connection is never closed from here: a worker that was frozen would find it gone.
    Object.assign(this.#server, { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 });
  }

  async start() {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = this.#server.address().port;
    return this;
  }

  /** Has the answer to the next such call wait until it is let go of. */
  hold(isMeant) {
    const held = { isMeant, call: undefined, letGo: undefined };
    held.wait = new Promise((resolve) => (held.letGo = resolve));
    this.#held.push(held);
    return held;
  }

  stop() {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request, response) {
    let body = '';
    for await (const piece of request) body += piece;
    const asked = JSON.parse(body);
    const call = { ...asked, seq: this.calls.length + 1, at: this.now(), status: 'running', endedAt: undefined };
    this.calls.push(call);
    const held = this.#heldBy(call);
    response.once('close', () => {
      call.endedAt = this.now();
      if (call.status === 'running') call.status = 'aborted';
    });
    const fails = this.random.isSo(FAILING);
    const takesMs = this.random.between(...(asked.question.endsWith('/slow') && !fails ? SLOW_MS : QUICK_MS));
    const status = fails ? this.random.one(FAILURES) : 200;
    const { seq, question, scope, version, beganAt } = call;
    const text = status === 200 ? JSON.stringify({ seq, question, scope, version, beganAt }) : `status ${status}`;
    if (status !== 200) response.statusCode = status;
    await held?.wait;
    const pieces = asked.inPieces ? [text.slice(0, 10), text.slice(10, 30), text.slice(30)] : [text];
    for (const [index, piece] of pieces.entries()) {
      if (held === undefined) await sleep(takesMs / pieces.length);
      if (response.destroyed) return;
      if (index < pieces.length - 1) response.write(piece);
      else {
        call.status = status === 200 ? 'answered' : 'failed';
        response.end(piece);
      }
    }
  }

  #heldBy(call) {
    const held = this.#held.find(({ isMeant }) => isMeant(call));
    if (held === undefined) return undefined;
    this.#held.splice(this.#held.indexOf(held), 1);
    held.call = call;
    return held;
  }
}
