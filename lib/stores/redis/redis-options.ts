import type { ConnectionOptions } from 'node:tls';
import { checkOptions, isRecord, nonEmptyString, type OptionGroup, type OptionRule } from '../../core/check-options.js';
import { LlmCacheConfigError } from '../../core/errors.js';

/** Options of `redisStore`. Give exactly one of `url`, `cluster` and `sentinel`. */
export interface RedisStoreOptions {
  /** One server: `redis://user:password@host:port/database`, or `rediss://` for TLS. */
  url?: string;
  /** Redis Cluster: URLs of some of its nodes, or of its configuration endpoint. The others are found through them. */
  cluster?: string[];
  /** Redis Sentinel: the master is asked for at every new connection. */
  sentinel?: RedisSentinelOptions;
  /** Name of an ACL user. @default the one in the URL, else the server's default user */
  username?: string;
  /** @default the one in the URL, else none */
  password?: string;
  /**
   * TLS: `true`, or options of `node:tls`, such as `ca`, `cert`, `key` and `servername`.
   * @default true for `rediss://`, else false
   */
  tls?: boolean | ConnectionOptions;
  /** Number of the database. A Cluster has only 0. @default the one in the URL, else 0 */
  database?: number;
  /** Prefix of everything that this store writes. Any text; what differs is kept apart. @default 'llm-cache' */
  namespace?: string;
}

/** Where the sentinels are. */
export interface RedisSentinelOptions {
  /** The name under which they watch the master. */
  name: string;
  /** Some of the sentinels; the first that answers counts. */
  nodes: RedisAddress[];
  /** ACL user of the sentinels themselves. @default none */
  username?: string;
  /** Password of the sentinels themselves. @default none */
  password?: string;
}

/** Where a server listens. */
export interface RedisAddress {
  /** Name or IP address. */
  host: string;
  /** TCP port. */
  port: number;
}

/** Who connects, and how: the same for each server of a place. */
export interface RedisLogin {
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** `undefined` without TLS. */
  readonly tls: ConnectionOptions | undefined;
  readonly database: number;
}

/** The options, checked. */
export interface RedisPlace extends RedisLogin {
  readonly kind: 'server' | 'cluster' | 'sentinel';
  readonly nodes: readonly RedisAddress[];
  readonly sentinel: RedisSentinelOptions | undefined;
  readonly namespace: string;
}

const URL_FORM = "a URL such as 'redis://localhost:6379' or 'rediss://user:password@host:6380/0', without a query";

const redisUrl: OptionRule = { accepts: URL_FORM, test: (value) => parseUrl(value) !== undefined, isSecret: true };

const redisUrls: OptionRule = {
  accepts: `a list of nodes, each ${URL_FORM}, without a database`,
  test: (value) => Array.isArray(value) && value.length > 0 && value.every((url) => parseUrl(url)?.database === 0),
};

const addresses: OptionRule = {
  accepts: "a list of { host: 'name or address', port: 26379 }",
  test: (value) => Array.isArray(value) && value.length > 0 && value.every(isAddress),
};

const secretText: OptionRule = { ...nonEmptyString, isSecret: true };

const sentinelRules: OptionGroup = {
  group: { name: nonEmptyString, nodes: addresses, username: nonEmptyString, password: secretText },
  required: ['name', 'nodes'],
};

const tlsRule: OptionRule = {
  accepts: 'true, false or an object with options of node:tls, such as ca',
  test: (value) => typeof value === 'boolean' || isRecord(value),
};

const databaseNumber: OptionRule = {
  accepts: 'a whole number from 0 on',
  test: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
};

const PLACES = ['url', 'cluster', 'sentinel'] as const;

/** @throws LlmCacheConfigError that names the option and what it accepts, and never shows a URL or a password. */
export function redisPlace(urlOrOptions: string | RedisStoreOptions): RedisPlace {
  const options: RedisStoreOptions = typeof urlOrOptions === 'string' ? { url: urlOrOptions } : urlOrOptions;
  checkOptions<RedisStoreOptions>('redisStore', options, {
    url: redisUrl,
    cluster: redisUrls,
    sentinel: sentinelRules,
    username: nonEmptyString,
    password: secretText,
    tls: tlsRule,
    database: databaseNumber,
    namespace: nonEmptyString,
  });
  const { url, cluster, sentinel, tls, namespace = 'llm-cache' } = options;
  const given = PLACES.filter((name) => options[name] !== undefined);
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none of them' : given.map((name) => `"${name}"`).join(' and ');
    throw new LlmCacheConfigError(`redisStore: give exactly one of the options "url", "cluster" and "sentinel", not ${found}.`);
  }
  if (cluster !== undefined && (options.database ?? 0) !== 0) {
    throw new LlmCacheConfigError('redisStore: option "database" must be left out with "cluster": a Redis Cluster has only database 0.');
  }
  const parsed = (url === undefined ? (cluster ?? []) : [url]).map((text) => parseUrl(text)!);
  const [first] = parsed;
  const isEncrypted = tls === undefined ? parsed.some(({ isSecure }) => isSecure) : tls !== false;
  return {
    kind: sentinel === undefined ? (cluster === undefined ? 'server' : 'cluster') : 'sentinel',
    nodes: sentinel === undefined ? parsed.map(({ host, port }) => ({ host, port })) : sentinel.nodes,
    sentinel,
    username: options.username ?? first?.username,
    password: options.password ?? first?.password,
    tls: isEncrypted ? { ...(isRecord(tls) ? tls : {}) } : undefined,
    database: options.database ?? first?.database ?? 0,
    namespace,
  };
}

interface ParsedUrl extends RedisAddress {
  readonly isSecure: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
}

function parseUrl(text: unknown): ParsedUrl | undefined {
  try {
    if (typeof text !== 'string') return undefined;
    const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(text);
    const database = /^\/?(\d{0,9})$/.exec(pathname)?.[1];
    if (!/^rediss?:$/.test(protocol) || hostname === '' || port === '0' || database === undefined) return undefined;
    if (search !== '' || hash !== '') return undefined; // some clients read options there
    return {
      host: decodeURIComponent(hostname).replace(/^\[(.+)\]$/, '$1'),
      port: port === '' ? 6379 : Number(port),
      isSecure: protocol === 'rediss:',
      username: decodeURIComponent(username) || undefined,
      password: decodeURIComponent(password) || undefined,
      database: Number(database),
    };
  } catch {
    return undefined;
  }
}

function isAddress(value: unknown): value is RedisAddress {
  if (!isRecord(value)) return false;
  const { host, port, ...rest } = value;
  const isPort = Number.isInteger(port) && (port as number) > 0 && (port as number) < 65_536;
  return typeof host === 'string' && host !== '' && isPort && Object.keys(rest).length === 0;
}
