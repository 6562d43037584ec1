import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createClient, createCluster } from '@keyv/redis';
import { LlmCache } from 'nestjs-llm-cache';
import { freePort, onPath, RedisServer } from '../../fixtures/redis/start-redis.js';
import { adapterOf, describeWithServers, openStores, until } from '../../fixtures/redis/with-redis.js';

describeWithServers('redisStore over a Cluster of three', () => {
  let servers: RedisServer[];
  let cluster: ReturnType<typeof createCluster>;
  const open = openStores();
  const urls = () => servers.map(({ url }) => url);

  beforeAll(async () => {
    servers = await Promise.all([0, 1, 2].map(() => RedisServer.start({ args: ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'] })));
    const slots = [0, 5_461, 10_923, 16_384];
    const clients = await Promise.all(servers.map(({ url }) => createClient({ url }).connect()));
    for (const [index, client] of clients.entries()) {
      await client.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', String(slots[index]), String(slots[index + 1]! - 1)]);
      await client.sendCommand(['CLUSTER', 'MEET', '127.0.0.1', String(servers[0]!.port)]);
    }
    const isWhole = async () => (await Promise.all(clients.map((client) => client.clusterInfo()))).every((info) => /cluster_state:ok[^]*known_nodes:3/.test(info));
    await until(isWhole);
    clients.forEach((client) => client.destroy());
    cluster = createCluster({ rootNodes: urls().map((url) => ({ url })) });
    cluster.on('error', () => undefined);
    await cluster.connect();
  }, 20_000);
  afterAll(async () => {
    cluster.destroy();
    await Promise.all(servers.map((server) => server.stop()));
  });

  it('has entries on every node, finds them all from any, and clears its own only', async () => {
    const store = open({ cluster: urls(), namespace: '{x}' });
    const keys = Array.from({ length: 300 }, (_, index) => `key ${index}`);
    await store.setMany(keys.map((key) => ({ key, value: `value of ${key}` })));
    await cluster.set('%7bx%7d', 'foreign');
    await cluster.set('{x}:key', 'foreign');
    const other = open({ cluster: [servers[1]!.url], namespace: '{x}' });
    expect(await other.getMany(keys)).toEqual(keys.map((key) => `value of ${key}`));
    expect(await other.delete(keys)).toBe(true);
    await other.setMany(keys.map((key) => ({ key, value: 'again' })));
    const listed = new Set<string>();
    for await (const [key] of store.iterator!('') as AsyncIterable<[string, unknown]>) listed.add(key);
    expect(listed.size).toBe(300);
    await store.clear();
    expect(await other.getMany(keys)).toEqual(keys.map(() => undefined));
    expect(await Promise.all(['%7bx%7d', '{x}:key'].map((key) => cluster.get(key)))).toEqual(['foreign', 'foreign']);
  });

  it('counts, and hears of it, across stores that know different nodes', async () => {
    const [one, two] = [open({ cluster: [servers[0]!.url] }), open({ cluster: [servers[2]!.url] })].map((store) => adapterOf(store).coordination);
    const heard: unknown[][] = [];
    two!.subscribe({ onIncrease: (...message) => heard.push(message), onGap: () => undefined });
    const names = Array.from({ length: 20 }, (_, index) => `count ${index}`);
    const counts = await one!.counts(names);
    await two!.counts(names);
    await until(async () => {
      await one!.increase('warm', undefined);
      return heard.length > 0;
    });
    heard.splice(0);
    const increased = await Promise.all(names.map((name, index) => one!.increase(name, counts[index], 'note')));
    expect(increased).toEqual(counts.map((count) => count + 1));
    await until(() => heard.filter(([, , note]) => note === 'note').length === 20);
    expect(await two!.counts(names)).toEqual(increased);
  });

  it('gives one of two processes the turn, and the other its answer, wherever the key lives', async () => {
    const caches = [0, 2].map((index) => new LlmCache({ stores: open({ cluster: [servers[index]!.url], namespace: 'turns' }) }));
    let asked = 0;
    const upstream = async (): Promise<string> => {
      asked++;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return 'answer';
    };
    const questions = Array.from({ length: 12 }, (_, input) => ({ name: 'Test.ask', input }));
    const answers = await Promise.all(questions.flatMap((question) => caches.map((cache) => cache.wrap(question, upstream))));
    expect(new Set(answers)).toEqual(new Set(['answer']));
    expect(asked).toBe(12);
    await caches[0]!.invalidate({ key: questions[0]! });
    await caches[1]!.clear();
    await until(async () => (await caches[0]!.wrap(questions[1]!, () => 'new')) === 'new');
    await Promise.all(caches.map((cache) => cache.close()));
  });

  it('keeps leases beside their entries, also where the namespace of a Keyv chooses the slot', async () => {
    const { coordination, direct } = adapterOf(open({ cluster: urls() }));
    for (const key of ['key', '{app}:key', 'a{b}c{d}', 'a{b', '{']) {
      expect(await coordination.leases.take(key, { token: 'token', leaseMs: 5_000, takesOver: false, waitedFor: undefined, maxBytes: 100 })).toMatchObject({ kind: 'granted' });
      expect(await coordination.leases.commit(key, { token: 'token' }, 'text', undefined)).toBe(true);
      expect(await direct.get(key)).toBe('text');
    }
  });

  it('goes on with the others when a node dies, and with all when it is back', async () => {
    const store = open({ cluster: urls() });
    const keys = Array.from({ length: 60 }, (_, index) => `key ${index}`);
    await store.setMany(keys.map((key) => ({ key, value: 'value' })));
    await servers[2]!.kill();
    const answers = await Promise.allSettled(keys.map((key) => store.get(key)));
    const found = answers.filter((answer) => answer.status === 'fulfilled' && answer.value === 'value').length;
    expect(found).toBeGreaterThan(20);
    expect(found).toBeLessThan(60);
    const startMs = performance.now();
    await Promise.allSettled(keys.map((key) => store.get(key)));
    expect(performance.now() - startMs).toBeLessThan(1_000);
    await servers[2]!.restart();
    await until(() => Promise.all(keys.map((key) => store.set(key, 'again'))).then(() => true, () => false));
    expect(await store.getMany(keys)).toEqual(keys.map(() => 'again'));
  });
});

describeWithServers('redisStore behind Sentinel', () => {
  const open = openStores();

  it('asks for the master, and finds the new one after a failover', async () => {
    const master = await RedisServer.start({ args: ['--repl-diskless-sync-delay', '0'] });
    const replica = await RedisServer.start({ args: ['--replicaof', '127.0.0.1', String(master.port)] });
    // A sentinel asks the master for its replicas at once, and then every ten seconds.
    await until(async () => /state=online/.test(await ask(master, 'INFO', 'replication')));
    const folder = await mkdtemp(join(tmpdir(), 'llm-cache-sentinel-'));
    const config = join(folder, 'sentinel.conf');
    const lines = [`monitor main 127.0.0.1 ${master.port} 1`, 'down-after-milliseconds main 300', 'failover-timeout main 3000'];
    await writeFile(config, lines.map((line) => `sentinel ${line}\n`).join(''));
    const sentinel = await RedisServer.start({ config, args: ['--sentinel'] });
    try {
      const nodes = [{ host: '127.0.0.1', port: await freePort() }, { host: '127.0.0.1', port: sentinel.port }];
      const store = open({ sentinel: { name: 'main', nodes } });
      await expect(open({ sentinel: { name: 'other', nodes } }).get('key')).rejects.toThrow(/no sentinel said who the master is/);
      let gaps = 0;
      adapterOf(store).coordination.subscribe({ onIncrease: () => undefined, onGap: () => (gaps += 1) });
      await store.set('key', 'value');
      await until(async () => (await ask(sentinel, 'SENTINEL', 'REPLICAS', 'main')).includes(String(replica.port)));
      await until(async () => (await ask(replica, 'EXISTS', 'llm-cache:key')) === '1');
      await master.kill();
      await expect(store.get('key')).rejects.toThrow(/no connection|closed/);
      await until(() => store.set('key', 'after').catch(() => false));
      expect(await store.get('key')).toBe('after');
      expect(adapterOf(store).generation).toBe(1);
      await until(() => gaps >= 1);
      expect(await ask(replica, 'EXISTS', 'llm-cache:key')).toBe('1');
    } finally {
      await Promise.all([master, replica, sentinel].map((server) => server.stop()));
      await rm(folder, { recursive: true, force: true });
    }
  });

  async function ask(server: RedisServer, ...args: string[]): Promise<string> {
    const client = await createClient({ url: server.url }).connect();
    const reply: unknown = await client.sendCommand(args);
    client.destroy();
    return String(reply);
  }
});

describeWithServers('redisStore over each server that is here', () => {
  const open = openStores();
  const programs = ['redis-server', 'valkey-server'].filter((program) => onPath(program) !== undefined);

  it.each(programs)('%s keeps, counts, tells and clears', async (program) => {
    const server = await RedisServer.start({ program: onPath(program)! });
    const store = open({ url: server.url });
    const { coordination } = adapterOf(store);
    const heard: unknown[] = [];
    coordination.subscribe({ onIncrease: (name) => heard.push(name), onGap: () => undefined });
    await store.set('key', 'naïve Ω', 60_000);
    expect(await store.get('key')).toBe('naïve Ω');
    await until(async () => {
      await coordination.increase('x', undefined);
      return heard.includes('x');
    });
    await store.clear();
    expect(await store.get('key')).toBeUndefined();
    await server.stop();
  });
});
