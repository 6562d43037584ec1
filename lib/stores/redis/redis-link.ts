import { setMaxListeners } from 'node:events';
import { isIP } from 'node:net';
import type { ClientOptions, RedisArgument, RedisClient } from './load-client.cjs';
import type { RedisAddress, RedisLogin } from './redis-options.js';

/** Bulk strings as `Buffer`: 36 is `$`, their mark in the protocol. */
export const AS_BYTES = { typeMapping: { 36: Buffer } } as const;

/** TCP, TLS and the first replies of one server. */
export const CONNECT_TIMEOUT_MS = 3_000;
/** So that a thousand calls at once send their commands at once, and no one's has to wait for replies to the others'. */
const WRITTEN_AT_ONCE_BYTES = 4 * 1024 * 1024;
const PULSE_MS = 1_000;
/** For a reply to a ping: a server that takes longer is as good as gone. */
const SILENCE_MS = 2_000;

/** What a store talks to: a server, or a Cluster. Never reconnects; it is replaced. */
export interface RedisLink {
  /** Replies as text, or as bytes if asked for. `key` says which node of a Cluster it is for. */
  send(key: string, args: readonly RedisArgument[], asBytes?: boolean): Promise<unknown>;
  /** To each server that has keys. */
  servers(): Promise<ReadonlyArray<(args: readonly RedisArgument[]) => Promise<unknown>>>;
  /** Waits for replies; may never resolve. */
  close(): Promise<unknown>;
}

/** What became of a link, told by itself. */
export interface LinkListener {
  /** Nothing can be sent any more. What was under way has rejected. */
  onLost(error: Error): void;
  /** A part of it does not work, or not as it should: another one is needed, and meanwhile this one is used. */
  onTrouble(error: Error): void;
}

/**
 * Opens a link. Aborting the signal closes its sockets at once, whatever they are doing: the client's own `destroy`
 * overlooks one that is still connecting.
 */
export type OpenLink<Link = RedisLink> = (life: AbortSignal, listener: LinkListener) => Promise<Link>;

/** Nothing of it hangs: no queue while there is no connection, no reconnecting, and a deadline for connecting. */
export function clientOptions({ host, port }: RedisAddress, login: RedisLogin, life: AbortSignal): ClientOptions {
  const { socket, ...options } = sharedOptions(login, life, host);
  return { ...options, socket: { ...socket, host, port } };
}

/** The same for every node of a Cluster. */
export function sharedOptions({ username, password, tls, database }: RedisLogin, life: AbortSignal, host = ''): ClientOptions {
  setMaxListeners(0, life);
  // A certificate is found by name, and an address is none.
  const secure = tls === undefined ? {} : { ...(host === '' || isIP(host) ? {} : { servername: host }), ...tls, tls: true };
  return {
    socket: { ...secure, signal: life, connectTimeout: CONNECT_TIMEOUT_MS, reconnectStrategy: false, writableHighWaterMark: WRITTEN_AT_ONCE_BYTES },
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    database,
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
  };
}

/** A connection to one server, found anew for each. */
export class ServerLink implements RedisLink {
  constructor(private readonly client: RedisClient) {}

  send(_key: string, args: readonly RedisArgument[], asBytes?: boolean): Promise<unknown> {
    return asBytes ? this.client.sendCommand(args, AS_BYTES) : this.client.sendCommand(args);
  }

  servers(): Promise<ReadonlyArray<(args: readonly RedisArgument[]) => Promise<unknown>>> {
    return Promise.resolve([(args) => this.client.sendCommand(args)]);
  }

  close(): Promise<unknown> {
    return this.client.close();
  }
}

/** Connects, and has its loss told. */
export async function connected(client: RedisClient, life: AbortSignal, listener: LinkListener): Promise<RedisClient> {
  // One that cannot be understood is lost too, also where nothing has been asked yet. The first error is the cause.
  client.on('error', (error) => listener.onLost(error));
  await client.connect();
  watchPulse(() => [client], life, () => listener.onLost(new Error(SILENT)));
  return client;
}

export const SILENT = `no reply for ${SILENCE_MS} ms`;

/** Asks each client every second whether its server is there. A frozen one, or one behind a cable that was cut, says nothing. */
export function watchPulse(clients: () => Iterable<RedisClient>, life: AbortSignal, onSilent: (client: RedisClient) => void): void {
  const asked = new Set<RedisClient>();
  const ask = async (client: RedisClient): Promise<void> => {
    asked.add(client);
    // Replies that came while this process was busy are read before anyone is called silent.
    const timer = setTimeout(() => setImmediate(() => asked.has(client) && !life.aborted && onSilent(client)), SILENCE_MS);
    timer.unref();
    try {
      await client.sendCommand(['PING']);
    } catch {
      // Whoever cannot be asked is lost in a way that is told elsewhere.
    } finally {
      clearTimeout(timer);
      asked.delete(client);
    }
  };
  const pulse = setInterval(() => {
    for (const client of clients()) if (client.isReady && !asked.has(client)) void ask(client);
  }, PULSE_MS);
  pulse.unref();
  life.addEventListener('abort', () => clearInterval(pulse), { once: true });
}

/** Somebody has put a list, say, where a string belongs: as if it were not there. */
export function ignoreOtherTypes(error: Error): undefined {
  if (!error.message.startsWith('WRONGTYPE')) throw error;
}
