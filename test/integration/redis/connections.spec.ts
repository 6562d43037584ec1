import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createClient, type RedisClientType } from '@keyv/redis';
import { LlmCache } from 'nestjs-llm-cache';
import { makeCertificates, type Certificates } from '../../fixtures/redis/certificates.js';
import { freePort, RedisServer } from '../../fixtures/redis/start-redis.js';
import { adapterOf, describeWithServers, openStores, until } from '../../fixtures/redis/with-redis.js';
import { compileForChild } from '../../fixtures/sqlite/compile-for-child.js';

async function took(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

describeWithServers('the connection of redisStore', () => {
  let server: RedisServer;
  const open = openStores();

  beforeEach(async () => void (server = await RedisServer.start()));
  afterEach(() => server.stop());

  it('goes nowhere before the first use', async () => {
    const store = open({ url: server.url });
    const admin = createClient({ url: server.url });
    await admin.connect();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(await admin.clientList()).toHaveLength(1);
    await Promise.all([store.set('a', '1'), store.get('b'), store.delete('c')]);
    expect(await admin.clientList()).toHaveLength(2);
    admin.destroy();
  });

  it('rejects at once where there never was a server, and finds it when there is', async () => {
    await server.kill();
    const store = open({ url: server.url });
    let recoveries = 0;
    adapterOf(store).recoveryListeners.add(() => (recoveries += 1));
    await expect(store.get('key')).rejects.toThrow(/no connection: connect ECONNREFUSED/);
    expect(await took(() => expect(Promise.all(Array.from({ length: 100 }, () => store.get('key')))).rejects.toThrow(/ECONNREFUSED/))).toBeLessThan(500);
    await server.restart();
    await until(() => store.set('key', 'value').catch(() => false));
    expect([adapterOf(store).generation, recoveries]).toEqual([0, 1]);
  });

  it.each<[string, string, (admin: RedisClientType) => Promise<unknown>]>([
    ['a server that is away', 'ECONNREFUSED', () => server.kill()],
    ['a password that is missing', 'NOAUTH', (admin) => admin.configSet('requirepass', 'password')],
    ['a command that is forbidden', 'NOPERM', (admin) => admin.sendCommand(['ACL', 'SETUSER', 'default', '-get', '-getrange'])],
    ['a server that is full', 'OOM', (admin) => admin.configSet('maxmemory', '1')],
  ])('has the warning say what is wrong, of %s', async (_, code, spoil) => {
    const admin = createClient({ url: server.url });
    admin.on('error', () => undefined);
    await admin.connect();
    await spoil(admin);
    const cache = new LlmCache({ stores: open({ url: server.url }) });
    const warnings: string[] = [];
    cache.on((event) => event.type === 'warning' && warnings.push(event.message));
    expect(await cache.wrap({ name: 'Test.ask', input: '' }, () => 'answer')).toBe('answer');
    expect(warnings.join('\n')).toMatch(RegExp(`^redis: (get|set) failed \\(${code}\\)\\. Calls go on without it\\.$`, 'm'));
    await cache.close();
    admin.destroy();
  });

  it('rejects what is under way when the server dies, then everything at once, and goes on when it is back', async () => {
    const store = open({ url: server.url });
    const { recoveryListeners } = adapterOf(store);
    let recoveries = 0;
    recoveryListeners.add(() => (recoveries += 1));
    await store.set('key', 'value');
    expect([adapterOf(store).generation, recoveries]).toEqual([0, 0]);
    server.freeze();
    const underWay = [store.get('key'), store.set('key', 'other'), adapterOf(store).coordination.counts(['x'])];
    const ends = Promise.allSettled(underWay);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await server.kill();
    expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(await took(() => expect(store.get('key')).rejects.toThrow(/no connection/))).toBeLessThan(500);
    await server.restart();
    await until(() => recoveries === 1);
    expect(await store.get('key')).toBeUndefined();
    expect(adapterOf(store).generation).toBe(1);
  });

  it('notices a server that is frozen though its sockets are open, for messages too', async () => {
    const store = open({ url: server.url });
    let gaps = 0;
    let heard = 0;
    const { coordination } = adapterOf(store);
    coordination.subscribe({ onIncrease: () => (heard += 1), onGap: () => (gaps += 1) });
    await until(async () => (await coordination.increase('warm', undefined)) > 0 && heard > 0);
    await until(() => store.set('key', 'value'));
    server.freeze();
    await expect(store.get('key')).rejects.toThrow(/^no reply for 2000 ms$/);
    expect(await took(() => expect(store.get('key')).rejects.toThrow(/no connection/))).toBeLessThan(500);
    await new Promise((resolve) => setTimeout(resolve, 1_200)); // each connection asks once a second
    server.thaw();
    await until(() => store.get('key').then((value) => value === 'value', () => false));
    await until(() => gaps > 0);
  });

  it('is closed within a moment when the server is frozen', async () => {
    const store = open({ url: server.url });
    await store.set('key', 'value');
    server.freeze();
    const pending = Promise.allSettled([store.get('key')]);
    expect(await took(() => store.disconnect())).toBeLessThan(1_500);
    expect(await pending).toEqual([{ status: 'rejected', reason: new Error('redisStore was closed') }]);
    const frozen = open({ url: server.url });
    const waiting = Promise.allSettled([frozen.get('key')]);
    expect(await took(() => frozen.disconnect())).toBeLessThan(1_500);
    expect(await waiting).toEqual([{ status: 'rejected', reason: new Error('no connection: redisStore was closed') }]);
  });

  it('writes what was asked for before it is closed, and opens again', async () => {
    const store = open({ url: server.url });
    const writing = Promise.all([store.set('a', '1'), store.set('b', '2')]);
    await Promise.all([store.disconnect(), store.disconnect()]);
    await writing;
    expect(await store.getMany(['a', 'b'])).toEqual(['1', '2']);
    expect(adapterOf(store).generation).toBe(1);
    const admin = await createClient({ url: server.url }).connect();
    await Promise.all([store.disconnect(), store.get('a').then(() => store.disconnect())]);
    await until(async () => (await admin.clientList()).length === 1);
    admin.destroy();
  });

  it('is given up at once when the server cannot be understood', async () => {
    const sockets: Socket[] = [];
    const gibberish = createServer((socket) => {
      sockets.push(socket.on('error', () => undefined));
      socket.write('SSH-2.0-OpenSSH_9.2\r\n');
    }).listen(0, '127.0.0.1');
    await once(gibberish, 'listening');
    const store = open({ url: `redis://127.0.0.1:${(gibberish.address() as AddressInfo).port}` });
    expect(await took(() => expect(store.get('key')).rejects.toThrow(/Unknown RESP type/))).toBeLessThan(1_500);
    sockets.forEach((socket) => socket.destroy());
    gibberish.close();
  });

  it('is looked for anew when the server has become a replica, and answers meanwhile', async () => {
    const store = open({ url: server.url });
    await store.set('key', 'value');
    const admin = createClient({ url: server.url });
    await admin.connect();
    await admin.sendCommand(['REPLICAOF', '127.0.0.1', String(await freePort())]);
    await expect(store.set('key', 'other')).rejects.toThrow(/^READONLY/);
    expect(await store.get('key')).toBe('value');
    await until(() => adapterOf(store).generation > 0);
    await admin.sendCommand(['REPLICAOF', 'NO', 'ONE']);
    await store.set('key', 'other');
    admin.destroy();
  });

  describe('in a process of its own', () => {
    let compiled: Awaited<ReturnType<typeof compileForChild>>;
    beforeAll(async () => void (compiled = await compileForChild(['stores/redis'])));
    afterAll(() => compiled.remove());

    it.each(['a server', 'no server', 'a frozen server'])('leaves nothing open that would keep it alive: %s', async (kind) => {
      if (kind === 'no server') await server.kill();
      if (kind === 'a frozen server') server.freeze();
      const script = fileURLToPath(new URL('../../fixtures/redis/short-life.mjs', import.meta.url));
      const child = fork(script, [pathToFileURL(compiled.entry.replace('stores/sqlite', 'stores/redis')).href, server.url], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
      let said = '';
      child.stdout!.on('data', (chunk) => (said += String(chunk)));
      const closed = new Promise<number>((resolve) => child.stdout!.once('data', () => resolve(performance.now())));
      child.disconnect();
      const [code] = (await once(child, 'exit')) as [number];
      expect([code, said]).toEqual([0, kind === 'a server' ? 'closed' : 'failed closed']);
      expect(performance.now() - (await closed)).toBeLessThan(1_000);
    });
  });
});

describeWithServers('who may use redisStore', () => {
  let certificates: Certificates;
  let server: RedisServer;
  const open = openStores();

  beforeAll(async () => {
    certificates = await makeCertificates();
    server = await RedisServer.start({ tls: certificates, password: 'p@ss:word/' });
  });
  afterAll(async () => {
    await server.stop();
    await certificates.remove();
  });

  const ca = () => readFileSync(certificates.ca, 'utf8');

  it('connects with TLS and a password, by options or by URL', async () => {
    const url = `redis://127.0.0.1:${server.port}`;
    const store = open({ url, password: 'p@ss:word/', tls: { ca: ca() } });
    await store.set('key', 'value');
    const byUrl = open({ url: `rediss://:${encodeURIComponent('p@ss:word/')}@localhost:${server.port}`, tls: { ca: ca() } });
    expect(await byUrl.get('key')).toBe('value');
  });

  it('needs no more than the page about it asks for', async () => {
    const page = readFileSync(new URL('../../../docs/redis.md', import.meta.url), 'utf8');
    const rule = /^ACL SETUSER (llm-cache on >password .*)$/m.exec(page)![1]!.split(' ');
    const plain = await RedisServer.start();
    const admin = await createClient({ url: plain.url }).connect();
    await admin.sendCommand(['ACL', 'SETUSER', ...rule]);
    const store = open({ url: plain.url, username: 'llm-cache', password: 'password' });
    const { coordination, direct } = adapterOf(store);
    const heard: unknown[] = [];
    coordination.subscribe({ onIncrease: (name) => heard.push(name), onGap: () => undefined });
    const [count] = await coordination.counts(['x']);
    await until(async () => {
      await coordination.increase('x', count);
      return heard.includes('x');
    });
    await direct.set('key', 'value', 60_000);
    expect([await store.get('key'), await store.has('key'), await store.delete('key')]).toEqual(['value', true, true]);
    await store.clear();
    const [cache, other] = [0, 1].map(() => new LlmCache({ stores: open({ url: plain.url, username: 'llm-cache', password: 'password' }), singleFlight: { lease: '60ms' } }));
    const errors: string[] = [];
    for (const each of [cache!, other!]) each.on((event) => event.type === 'store-error' && errors.push(event.message));
    let asked = 0;
    const slow = (): Promise<string> => new Promise((resolve) => setTimeout(resolve, 100, `answer ${++asked}`));
    const question = { name: 'Test.ask', input: '' };
    expect(await Promise.all([cache, other].map((each) => each!.wrap(question, slow)))).toEqual(['answer 1', 'answer 1']);
    await cache!.invalidate({ key: question });
    await expect(cache!.wrap(question, () => Promise.reject(new Error('upstream')))).rejects.toThrow('upstream');
    await cache!.clear();
    expect(errors).toEqual([]);
    await Promise.all([cache!.close(), other!.close()]);
    admin.destroy();
    await plain.stop();
  });

  it.each([
    ['a wrong password', /WRONGPASS/, () => ({ password: 'wrong', tls: { ca: ca() } })],
    ['no password', /NOAUTH/, () => ({ tls: { ca: ca() } })],
    ['a certificate of an unknown authority', /certificate/, () => ({ password: 'p@ss:word/', tls: true })],
    ['no TLS', /closed|ECONNRESET/, () => ({ password: 'p@ss:word/', tls: false })],
  ])('rejects with %s', async (_description, message, options) => {
    const store = open({ url: `rediss://127.0.0.1:${server.port}`, ...options() });
    await expect(store.get('key')).rejects.toThrow(message);
    await expect(store.get('key')).rejects.toThrow(message);
  });
});

