import type { RedisArgument, RedisClient, RedisCluster, RedisDriver } from './load-client.cjs';
import { AS_BYTES, clientOptions, connected, ServerLink, sharedOptions, SILENT, watchPulse, type LinkListener, type OpenLink, type RedisLink } from './redis-link.js';
import type { RedisAddress, RedisPlace, RedisSentinelOptions } from './redis-options.js';

/** How to open a link for commands to a place. */
export function linkOpener(driver: RedisDriver, place: RedisPlace): OpenLink {
  if (place.kind === 'cluster') return (life, listener) => openCluster(driver, place, life, listener);
  const open = clientOpener(driver, place);
  return async (life, listener) => new ServerLink(await open(life, listener));
}

/** How to open a connection of its own for messages. Every node of a Cluster has all messages. */
export function clientOpener(driver: RedisDriver, place: RedisPlace): OpenLink<RedisClient> {
  return async (life, listener) => {
    const { sentinel, nodes } = place;
    const address = sentinel === undefined ? nodes[Math.floor(Math.random() * nodes.length)]! : await masterOf(driver, sentinel, place, life);
    const client = await connected(driver.createClient(clientOptions(address, place, life)), life, listener);
    if (sentinel !== undefined) await refuseReplica(client);
    return client;
  };
}

/** Asks all sentinels at once, since any may be down or frozen; the first that knows the master counts. */
async function masterOf(driver: RedisDriver, sentinel: RedisSentinelOptions, { tls }: RedisPlace, life: AbortSignal): Promise<RedisAddress> {
  const asking = new AbortController();
  const questions = AbortSignal.any([life, asking.signal]);
  const login = { username: sentinel.username, password: sentinel.password, tls, database: 0 };
  const ask = async (address: RedisAddress): Promise<RedisAddress> => {
    const client = driver.createClient(clientOptions(address, login, questions));
    client.on('error', () => {
      // What fails rejects.
    });
    await client.connect();
    const reply = (await client.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', sentinel.name])) as [string, string] | null;
    if (reply === null) throw Object.assign(new Error('a sentinel does not know a master of the name in option "sentinel.name"'), { code: 'UNKNOWN_MASTER' });
    return { host: reply[0], port: Number(reply[1]) };
  };
  try {
    return await Promise.any(sentinel.nodes.map(ask));
  } catch (error) {
    const { errors = [error] } = error as Partial<AggregateError>;
    throw new Error(`no sentinel said who the master is: ${(errors[0] as Error).message}`, { cause: error });
  } finally {
    asking.abort();
  }
}

/** Until it has heard of the failover, a sentinel names the old master, which may be back as a replica. */
async function refuseReplica(client: RedisClient): Promise<void> {
  const [role] = (await client.sendCommand(['ROLE'])) as [string];
  if (role !== 'master') throw new Error('the server is no longer the master');
}

async function openCluster(driver: RedisDriver, place: RedisPlace, life: AbortSignal, listener: LinkListener): Promise<RedisLink> {
  let reason: Error | undefined;
  const cluster = driver
    .createCluster({
      rootNodes: place.nodes.map(({ host, port }) => ({ socket: { host, port } })),
      defaults: sharedOptions(place, life),
      minimizeConnections: true,
    })
    .on('error', (error) => (reason ??= error))
    .on('node-error', (error) => listener.onTrouble(error));
  try {
    await cluster.connect();
  } catch (error) {
    throw reason ?? error;
  }
  const known = () => cluster.masters.flatMap(({ client }) => client ?? []);
  watchPulse(known, life, (client) => {
    client.destroy();
    listener.onTrouble(new Error(SILENT));
  });
  return new ClusterLink(cluster);
}

class ClusterLink implements RedisLink {
  constructor(private readonly cluster: RedisCluster) {}

  send(key: string, args: readonly RedisArgument[], asBytes?: boolean): Promise<unknown> {
    return this.cluster.sendCommand(key, false, args, asBytes ? AS_BYTES : undefined);
  }

  async servers(): Promise<ReadonlyArray<(args: readonly RedisArgument[]) => Promise<unknown>>> {
    const clients = await Promise.all(this.cluster.masters.map((node) => this.cluster.nodeClient(node)));
    return clients.map((client) => (args) => client.sendCommand(args));
  }

  close(): Promise<unknown> {
    return this.cluster.close();
  }
}
