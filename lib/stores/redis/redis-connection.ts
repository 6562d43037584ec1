import { setImmediate as nextTurn } from 'node:timers/promises';
import { withCode } from './redis-errors.js';
import { CONNECT_TIMEOUT_MS, type OpenLink } from './redis-link.js';

const SHORTEST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;
/** A link that lived for so long was a good one: after it the pauses start anew. */
const GOOD_AFTER_MS = 10_000;
/** For replies that are still to come when a store is closed. */
const LAST_WORDS_MS = 250;

interface Closable {
  close(): Promise<unknown>;
}

/**
 * One link, and the next one when it is lost. The client's own reconnecting is not used: it asks the same address again,
 * where a Sentinel or a Cluster may know a better one, and it cannot be ended while it connects.
 */
export class RedisConnection<Link extends Closable> {
  /** Sets a link up before anyone uses it. */
  onOpened: (link: Link) => Promise<unknown> | void = () => {};
  /** Told of every link once it can be used: how many there were before it, and whether anyone was refused meanwhile. */
  onReady: (before: number, wasOut: boolean) => void = () => {};
  /** How many links there were. */
  opened = 0;

  private link: Link | undefined;
  /** Ends the link. */
  private life: AbortController | undefined;
  /** Of all links, those that are being opened or closed included. */
  private readonly lives = new Set<AbortController>();
  /** The first connect, which operations wait for. */
  private opening: Promise<Link> | undefined;
  /** Why there is no link; another try is on its way. */
  private failure: Error | undefined;
  private retry: NodeJS.Timeout | undefined;
  private tries = 0;
  private openedAtMs = 0;
  private disconnecting: Promise<void> | undefined;

  constructor(private readonly open: OpenLink<Link>) {}

  /** The link, where there is no need to wait for it. */
  get present(): Link | undefined {
    return this.link;
  }

  /** Waits for a first connect. After that it rejects at once while there is no link. */
  ready(): Promise<Link> {
    if (this.link !== undefined) return Promise.resolve(this.link);
    if (this.failure !== undefined) return Promise.reject(unreachable(this.failure));
    this.opening ??= this.openFirst();
    return this.opening;
  }

  /** Another link is needed. The present one, if any, is used until it is there. */
  renew(): void {
    if (this.retry !== undefined) return;
    if (performance.now() - this.openedAtMs > GOOD_AFTER_MS) this.tries = 0;
    const pauseMs = Math.min(LONGEST_PAUSE_MS, SHORTEST_PAUSE_MS * 2 ** this.tries++);
    // Not all processes at the same moment.
    const retry = setTimeout(() => void this.openNext(retry), pauseMs * (0.5 + Math.random() / 2));
    retry.unref();
    this.retry = retry;
  }

  /** Waits a moment for what is under way, then closes every socket. The next use connects anew. */
  disconnect(): Promise<void> {
    // What was opened since the first of two calls is closed by the second.
    const isOpen = (): boolean => this.lives.size > 0;
    if (this.disconnecting !== undefined) return this.disconnecting.then(() => (isOpen() ? this.disconnect() : undefined));
    this.disconnecting = this.close().finally(() => (this.disconnecting = undefined));
    return this.disconnecting;
  }

  private async close(): Promise<void> {
    // Keyv hands an operation on some microtasks after it was called.
    await nextTurn();
    if (this.opening !== undefined) {
      await atMost(LAST_WORDS_MS, this.opening);
      await nextTurn();
    }
    const { link, lives } = this;
    const ending = [...lives];
    clearTimeout(this.retry);
    this.link = this.life = this.opening = this.failure = this.retry = undefined;
    this.tries = 0;
    if (link !== undefined) await atMost(LAST_WORDS_MS, link.close());
    for (const life of ending) this.end(life, new Error('redisStore was closed'));
  }

  private openFirst(): Promise<Link> {
    const opening = this.connect().catch((error: Error) => {
      if (this.opening === opening) {
        this.failure = error;
        this.renew();
      }
      throw unreachable(error);
    });
    const forget = (): void => void (this.opening === opening && (this.opening = undefined));
    opening.then(forget, forget);
    return opening;
  }

  private async openNext(retry: NodeJS.Timeout): Promise<void> {
    const error = await this.connect(() => this.retry === retry).then(() => undefined, (reason: Error) => reason);
    if (this.retry !== retry) return; // closed meanwhile
    this.retry = undefined;
    if (error === undefined) return;
    if (this.link === undefined) this.failure = error;
    this.renew();
  }

  private async connect(isWanted = () => true): Promise<Link> {
    const life = new AbortController();
    this.lives.add(life);
    const deadline = setTimeout(() => this.end(life, new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`)), CONNECT_TIMEOUT_MS);
    try {
      const link = await this.open(life.signal, {
        onLost: (error) => this.lose(life, error),
        onTrouble: () => void (this.life === life && this.renew()),
      });
      await this.onOpened(link);
      life.signal.throwIfAborted();
      if (!isWanted()) throw new Error('redisStore was closed');
      this.take(link, life);
      return link;
    } catch (error) {
      const reason = (life.signal.aborted ? life.signal.reason : error) as Error;
      this.end(life, reason);
      throw reason;
    } finally {
      clearTimeout(deadline);
    }
  }

  private take(link: Link, life: AbortController): void {
    const { link: old, life: oldLife, failure } = this;
    this.link = link;
    this.life = life;
    this.failure = undefined;
    this.openedAtMs = performance.now();
    // What is under way on the old one gets its replies.
    if (old !== undefined) void atMost(LAST_WORDS_MS, old.close()).then(() => this.end(oldLife!, new Error('there is a newer connection')));
    this.onReady(this.opened++, failure !== undefined);
  }

  private lose(life: AbortController, error: Error): void {
    this.end(life, error);
    if (this.life !== life) return;
    this.link = this.life = undefined;
    this.failure = error;
    this.renew();
  }

  private end(life: AbortController, reason: Error): void {
    this.lives.delete(life);
    life.abort(reason);
  }
}

async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work.catch(() => undefined), late]);
  clearTimeout(timer);
}

/** Node leaves the message empty where it tried several addresses of a name. */
function unreachable(cause: Error): Error {
  return withCode(new Error(`no connection: ${cause.message || String((cause as { code?: unknown }).code)}`, { cause }));
}
