import type { Coordination, DirectAccess } from '../coordination.js';
import { OWN_STORE, pack, unpack, type OwnStoreAdapter, type StoreInspection } from '../own-store.js';
import type { RedisArgument, RedisDriver } from './load-client.cjs';
import { clientOpener, linkOpener } from './open-link.js';
import { RedisConnection } from './redis-connection.js';
import { increaseCounter, readCounter } from './redis-counters.js';
import { withCode } from './redis-errors.js';
import { RedisKeys } from './redis-keys.js';
import { RedisLeases } from './redis-leases.js';
import { ignoreOtherTypes, type RedisLink } from './redis-link.js';
import { messageBody, RedisMessages } from './redis-messages.js';
import type { RedisPlace } from './redis-options.js';
import type { RedisScript } from './redis-script.js';
import { decodeText, encodeText } from './redis-text.js';

/** Keys that one `SCAN` looks at. */
const PAGE_KEYS = '1000';
/** The server keeps the moment of expiry in 64 bits. */
const LONGEST_TTL_MS = 1e15;

/** Keyv storage adapter over one place in Redis. Each command is about one key, so that a Cluster knows where it belongs. */
export class RedisAdapter implements OwnStoreAdapter {
  readonly [OWN_STORE] = true;
  readonly name = 'redis';
  readonly isShared = true;
  /** Keyv looks here to learn that it can iterate. */
  readonly opts = { dialect: 'redis' } as const;
  namespace?: string;
  readonly recoveryListeners = new Set<() => void>();
  readonly direct: DirectAccess;
  readonly coordination: Coordination;

  private readonly keys: RedisKeys;
  private readonly connection: RedisConnection<RedisLink>;
  private readonly messages: RedisMessages;

  constructor(driver: RedisDriver, place: RedisPlace) {
    this.keys = new RedisKeys(place.namespace);
    this.connection = new RedisConnection(linkOpener(driver, place));
    this.connection.onReady = (before, wasOut) => {
      if (before > 0 || wasOut) for (const listener of this.recoveryListeners) listener();
    };
    this.messages = new RedisMessages(clientOpener(driver, place), this.keys);
    this.direct = {
      get: (key, maxBytes) => this.entry(key, maxBytes),
      getMany: (keys, maxBytes) => Promise.all(keys.map((key) => this.entry(key, maxBytes))),
      set: async (key, text, ttlMs) => {
        const expiresAtMs = ttlMs === undefined ? undefined : Date.now() + ttlMs;
        if (!(await this.set(key, pack(text, expiresAtMs), ttlMs))) throw new Error('redisStore: the entry cannot be kept');
      },
    };
    this.coordination = {
      counts: (names) => this.counts(names),
      increase: async (name, lastSeen, note) => {
        const link = await this.link();
        return this.run(link, increaseCounter(link, this.keys.of(name), lastSeen, this.keys.channel, messageBody(name, note)));
      },
      leases: new RedisLeases(this.keys, (...args) => this.runScript(...args), entryInRange),
      subscribe: (listener) => this.messages.add(listener),
    };
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    return (await this.read(key)) as Value | undefined;
  }

  getMany<Value>(keys: string[]): Promise<Array<Value | undefined>> {
    return Promise.all(keys.map((key) => this.get<Value>(key)));
  }

  async has(key: string): Promise<boolean> {
    return key.isWellFormed() && (await this.send(key, ['EXISTS', this.keys.of(key)])) === 1;
  }

  hasMany(keys: string[]): Promise<boolean[]> {
    return Promise.all(keys.map((key) => this.has(key)));
  }

  /** @returns false when the entry cannot be kept: its key is not valid Unicode. */
  async set(key: string, value: string, ttlMs?: number): Promise<boolean> {
    if (typeof value !== 'string') throw new TypeError('redisStore keeps strings: do not replace the serializer of its Keyv.');
    if (!key.isWellFormed()) return false;
    const expiry = ttlMs && ttlMs < LONGEST_TTL_MS ? ['PX', String(Math.max(1, Math.ceil(ttlMs)))] : [];
    await this.send(key, ['SET', this.keys.of(key), encodeText(value), ...expiry]);
    return true;
  }

  /** Keyv hands on the results; its type of an adapter does not know of them. */
  async setMany(entries: Array<{ key: string; value: string; ttl?: number }>): Promise<void> {
    const results = await Promise.all(entries.map(({ key, value, ttl }) => this.set(key, value, ttl)));
    return results as unknown as undefined;
  }

  async delete(key: string): Promise<boolean> {
    return key.isWellFormed() && (await this.send(key, ['UNLINK', this.keys.of(key)])) === 1;
  }

  async deleteMany(keys: string[]): Promise<boolean> {
    const results = await Promise.all(keys.map((key) => this.delete(key)));
    return results.includes(true);
  }

  /** Removes what is in the namespace, counters included. Its time grows with all keys of the server. */
  async clear(): Promise<void> {
    for await (const [link, keys] of this.scan(prefixOf(this.namespace))) {
      await this.run(link, Promise.all(keys.map((key) => link.send(key, ['UNLINK', key]))));
    }
  }

  /** What this store wrote; counters are no entries. A key may come twice while others write. */
  async *iterator<Value>(namespace?: string): AsyncGenerator<Array<string | Awaited<Value> | undefined>, void> {
    for await (const [link, keys] of this.scan(prefixOf(namespace))) {
      const values = await this.run(link, Promise.all(keys.map((key) => link.send(key, ['GET', key], true).catch(ignoreOtherTypes))));
      for (const [index, key] of keys.entries()) {
        const bytes = values[index];
        const value = Buffer.isBuffer(bytes) ? decodeText(bytes) : undefined;
        if (value !== undefined) yield [key.slice(this.keys.prefix.length), value];
      }
    }
  }

  /** Keyv's type asks for it. There is nothing to listen to: what fails rejects. */
  on(): this {
    return this;
  }

  get generation(): number {
    return Math.max(0, this.connection.opened - 1);
  }

  /** Redis counts for all its users together. */
  inspect(): StoreInspection {
    return { entries: null, maxEntries: null, bytes: null, maxBytes: null };
  }

  /** Waits a moment for replies, and closes both connections. The next operation opens them again. */
  async disconnect(): Promise<void> {
    await Promise.all([this.connection.disconnect(), this.messages.disconnect()]);
  }

  private async counts(names: readonly string[]): Promise<number[]> {
    const link = await this.link();
    const counts = await this.run(link, Promise.all(names.map((name) => readCounter(link, this.keys.of(name)))));
    this.messages.counted();
    return counts;
  }

  /** What Keyv gets: the text that was set. What others wrote is packed, so that Keyv takes it for a text, and the engine for no entry. */
  private async read(key: string): Promise<string | undefined> {
    if (!key.isWellFormed()) return undefined;
    return packedIn(await this.send(key, ['GET', this.keys.of(key)], true));
  }

  private async runScript(script: RedisScript, ...rest: [readonly [string, ...string[]], readonly RedisArgument[], boolean?]): Promise<unknown> {
    const link = await this.link();
    return this.run(link, script.run(link, ...rest));
  }

  /** The same for the engine, on the path of every hit: with no promise more than it needs. */
  private entry(key: string, maxBytes?: number): Promise<string | undefined> {
    if (!key.isWellFormed()) return Promise.resolve(undefined);
    const name = this.keys.of(key);
    if (maxBytes === undefined) return this.send(key, ['GET', name], true).then(entryIn);
    return this.send(key, ['GETRANGE', name, '0', String(maxBytes)], true).then(entryInRange);
  }

  private send(key: string, args: ReadonlyArray<string | Buffer>, asBytes?: boolean): Promise<unknown> {
    this.messages.start();
    const over = (link: RedisLink): Promise<unknown> => this.run(link, link.send(this.keys.of(key), args, asBytes));
    return this.connection.present === undefined ? this.connection.ready().then(over) : over(this.connection.present);
  }

  /** For operations of several steps: all over one link, so that none of them opens another one after a disconnect. */
  private link(): Promise<RedisLink> {
    this.messages.start();
    return this.connection.ready();
  }

  /** A server that has become a replica takes no writes: the master is elsewhere. */
  private run<Reply>(link: RedisLink, replies: Promise<Reply>): Promise<Reply> {
    return replies.catch((error: Error) => {
      const { message, name, cause } = error;
      if (link === this.connection.present && message.startsWith('READONLY')) this.connection.renew();
      // Why the connection was ended is behind it. No caller has aborted anything.
      throw withCode(name === 'AbortError' ? ((cause as Error | undefined) ?? error) : error);
    });
  }

  private async *scan(start: string): AsyncGenerator<[link: RedisLink, keys: string[]], void> {
    const link = await this.link();
    const [pattern, prefix] = [this.keys.pattern(start), this.keys.of(start)];
    for (const ask of await link.servers()) {
      let cursor = '0';
      do {
        const reply = (await ask(['SCAN', cursor, 'MATCH', pattern, 'COUNT', PAGE_KEYS])) as [string, string[]];
        cursor = reply[0];
        yield [link, reply[1].filter((key) => key.startsWith(prefix))];
      } while (cursor !== '0');
    }
  }
}

function prefixOf(namespace: string | undefined): string {
  return namespace ? `${namespace}:` : '';
}

/** What others wrote is no text of ours, and is handed on as one that is no entry. */
function packedIn(reply: unknown): string | undefined {
  if (!Buffer.isBuffer(reply)) return undefined;
  return decodeText(reply) ?? pack(reply.toString(), undefined);
}

/** The text in what {@link pack} wrote, as long as it lives. What others wrote is handed on, and is no entry. */
function entryIn(reply: unknown): string | undefined {
  if (!Buffer.isBuffer(reply)) return undefined;
  const packed = decodeText(reply);
  if (packed === undefined) return reply.toString();
  const { value, expiresAtMs } = unpack(packed) ?? { value: packed, expiresAtMs: undefined };
  return expiresAtMs !== undefined && Date.now() > expiresAtMs ? undefined : value;
}

/** A range of nothing is an empty one, and no entry is. */
function entryInRange(reply: unknown): string | undefined {
  return Buffer.isBuffer(reply) && reply.length > 0 ? entryIn(reply) : undefined;
}
