/** What is used of the client of `@keyv/redis`. */
export interface RedisClient {
  readonly isReady: boolean;
  connect(): Promise<unknown>;
  sendCommand(args: readonly RedisArgument[], options?: CommandOptions): Promise<unknown>;
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
  /** Waits for replies. */
  close(): Promise<unknown>;
  /** @throws when the connection has closed by itself */
  destroy(): void;
  on(event: 'error', listener: (error: Error) => void): this;
}

export interface RedisCluster {
  /** Those with slots, as last told by the cluster. */
  readonly masters: readonly ClusterNode[];
  connect(): Promise<unknown>;
  sendCommand(key: string, isReadOnly: boolean, args: readonly RedisArgument[], options?: CommandOptions): Promise<unknown>;
  nodeClient(node: ClusterNode): Promise<RedisClient>;
  close(): Promise<unknown>;
  on(event: 'error' | 'node-error', listener: (error: Error) => void): this;
}

export interface ClusterNode {
  /** `undefined` until the node is first needed. */
  readonly client?: RedisClient;
}

export type RedisArgument = string | Buffer;

/** `typeMapping: { 36: Buffer }` gives bulk strings as bytes. */
export interface CommandOptions {
  readonly typeMapping: Readonly<Record<number, unknown>>;
}

/** @see https://github.com/redis/node-redis/blob/master/docs/client-configuration.md */
export interface ClientOptions {
  readonly socket: Readonly<Record<string, unknown>>;
  readonly username?: string;
  readonly password?: string;
  readonly database?: number;
  readonly disableOfflineQueue: true;
  readonly maintNotifications: 'disabled';
}

export interface ClusterOptions {
  readonly rootNodes: ReadonlyArray<{ readonly socket: Readonly<Record<string, unknown>> }>;
  readonly defaults: ClientOptions;
  /** Connects to a node when it is first needed. */
  readonly minimizeConnections: true;
}

export interface RedisDriver {
  createClient(options: ClientOptions): RedisClient;
  createCluster(options: ClusterOptions): RedisCluster;
}

interface ClientPackage {
  createClient(options: Pick<ClientOptions, 'maintNotifications'>): ClientTemplate;
  createCluster(options: ClusterOptions): RedisCluster;
}

interface ClientTemplate {
  /** Another client, of the same class. */
  duplicate(options: ClientOptions): RedisClient;
}

/** Never connected. The package builds a class for each set of options, which holds the event loop for 20 ms or more. */
let template: ClientTemplate | undefined;

/**
 * CommonJS, because only `require` loads an optional package synchronously in both builds.
 * @throws what `require` throws where there is no `@keyv/redis`
 */
export function loadClient(): RedisDriver {
  const redis = require('@keyv/redis') as ClientPackage;
  const made = (template ??= redis.createClient({ maintNotifications: 'disabled' }));
  return { createClient: (options) => made.duplicate(options), createCluster: (options) => redis.createCluster(options) };
}
