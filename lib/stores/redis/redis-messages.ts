import type { CoordinationListener } from '../coordination.js';
import type { RedisClient } from './load-client.cjs';
import { RedisConnection } from './redis-connection.js';
import type { RedisKeys } from './redis-keys.js';
import type { OpenLink } from './redis-link.js';

/** What is behind the count of a message. */
export function messageBody(name: string, note: string | undefined): string {
  return JSON.stringify(note === undefined ? [name] : [name, note]);
}

/** Hears of increased counters and of leases that were given up, over a connection of its own: one that listens to a channel can do nothing else. */
export class RedisMessages {
  /** In an object each: one listener may be added twice. */
  private readonly listeners = new Set<{ readonly listener: CoordinationListener }>();
  private readonly connection: RedisConnection<RedisClient>;
  /** Whether a count was told before the first message could come. */
  private isLate = false;

  constructor(open: OpenLink<RedisClient>, { channel, leaseChannel }: RedisKeys) {
    this.connection = new RedisConnection(open);
    this.connection.onOpened = (client) =>
      Promise.all([
        client.subscribe(channel, (message) => this.hear(message)),
        client.subscribe(leaseChannel, (key) => {
          for (const { listener } of this.listeners) listener.onReleased?.(key);
        }),
      ]);
    this.connection.onReady = (before) => {
      if (before === 0 && !this.isLate) return;
      for (const { listener } of this.listeners) listener.onGap();
    };
  }

  add(listener: CoordinationListener): () => void {
    const added = { listener };
    this.listeners.add(added);
    return () => {
      if (this.listeners.delete(added) && this.listeners.size === 0) void this.disconnect();
    };
  }

  /** Begins to listen, where anyone wants to. Nobody waits for it. */
  start(): void {
    if (this.listeners.size === 0 || this.connection.present !== undefined) return;
    this.connection.ready().catch(() => {
      // It tries again by itself.
    });
  }

  /** A count was read. Messages that came before this process could hear them are lost. */
  counted(): void {
    if (this.connection.opened === 0) this.isLate = true;
  }

  disconnect(): Promise<void> {
    return this.connection.disconnect();
  }

  private hear(message: string): void {
    const heard = parseMessage(message);
    if (heard === undefined) return;
    for (const { listener } of this.listeners) listener.onIncrease(heard.name, heard.count, heard.note);
  }
}

/** `<count> ["<name>","<note>"]`; anyone may send anything else. */
function parseMessage(message: string): { count: number; name: string; note: string | undefined } | undefined {
  const [, digits, body] = /^(\d{1,16}) (\[.*\])$/s.exec(message) ?? [];
  if (digits === undefined || body === undefined) return undefined;
  try {
    const [name, note, ...rest] = JSON.parse(body) as unknown[];
    if (typeof name !== 'string' || (note !== undefined && typeof note !== 'string') || rest.length > 0) return undefined;
    return { count: Number(digits), name, note };
  } catch {
    return undefined;
  }
}
