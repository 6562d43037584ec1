import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Coordination } from '../../../lib/stores/coordination.js';
import { adapterOf, describeWithServers, openServer, openStores, until } from '../../fixtures/redis/with-redis.js';

describeWithServers('coordination over Redis', () => {
  const redis = openServer();
  const open = openStores();
  const coordination = () => adapterOf(open({ url: redis.server.url })).coordination;

  beforeEach(() => redis.client.sendCommand(['FLUSHALL']));

  describe('counters', () => {
    it('begin at thirteen random digits, the same for all who ask at once', async () => {
      const [one, two] = [coordination(), coordination()];
      const [a, b, c] = await Promise.all([one.counts(['x', 'y']), two.counts(['x', 'y']), one.counts(['y', 'x', 'y'])]);
      expect(a).toEqual(b);
      expect(c).toEqual([a[1], a[0], a[1]]);
      expect(a[0]).not.toBe(a[1]);
      for (const count of a) expect(String(count)).toMatch(/^\d{13}$/);
      expect(await one.counts([])).toEqual([]);
    });

    it('count every increase, of whichever store', async () => {
      const both = [coordination(), coordination()];
      const [start] = await both[0]!.counts(['x']);
      const counts = await Promise.all(Array.from({ length: 100 }, (_, index) => both[index % 2]!.increase('x', start)));
      expect(counts.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => start! + 1 + index));
      expect(await both[1]!.counts(['x'])).toEqual([start! + 100]);
    });

    it('increase one that nobody has read', async () => {
      const count = await coordination().increase('x', undefined);
      expect(await coordination().counts(['x'])).toEqual([count]);
      expect(String(count)).toMatch(/^\d{13}$/);
    });

    it('do not come back to a count they had when the server has lost them', async () => {
      const store = coordination();
      const seen = new Set<number>();
      for (let round = 0; round < 50; round += 1) {
        const [count] = await store.counts(['x']);
        seen.add(count!).add(await store.increase('x', count));
        await redis.client.sendCommand(['FLUSHALL']);
        seen.add(await store.increase('x', count! + 1));
        await redis.client.sendCommand(['FLUSHALL']);
      }
      expect(seen.size).toBe(150);
    });

    it('go on after what was seen when the server went back', async () => {
      const store = coordination();
      const [count] = await store.counts(['x']);
      await redis.client.set('llm-cache:x', String(count! - 1_000));
      expect(await store.increase('x', count)).toBe(count! + 1);
      // Another counter altogether, not this one gone back.
      await redis.client.set('llm-cache:x', String(count! - 1_000_000));
      expect(await store.increase('x', count)).toBe(count! - 999_999);
    });

    it('are exact beyond what Lua prints', async () => {
      await redis.client.set('llm-cache:x', '1234567890123456');
      expect(await coordination().increase('x', undefined)).toBe(1_234_567_890_123_457);
      expect(await redis.client.get('llm-cache:x')).toBe('1234567890123457');
    });

    it.each(['garbage', '', '-5', '1e5'])('replace %j, which is no count', async (garbage) => {
      await redis.client.set('llm-cache:x', garbage);
      await redis.client.set('llm-cache:y', garbage);
      const [x] = await coordination().counts(['x']);
      expect(String(x)).toMatch(/^\d{13}$/);
      expect(await coordination().counts(['x'])).toEqual([x]);
      if (garbage === 'garbage') expect(String(await coordination().increase('y', undefined))).toMatch(/^\d{13}$/);
    });

    it('replace a list, which would keep them from counting for ever', async () => {
      await redis.client.rPush('llm-cache:x', ['value']);
      await redis.client.rPush('llm-cache:y', ['value']);
      const [x] = await coordination().counts(['x']);
      expect(String(x)).toMatch(/^\d{13}$/);
      expect(await coordination().counts(['x'])).toEqual([x]);
      expect(String(await coordination().increase('y', undefined))).toMatch(/^\d{13}$/);
    });
  });

  describe('messages', () => {
    interface Heard {
      readonly messages: unknown[][];
      gaps: number;
    }

    function listen(to: Coordination): Heard {
      const heard: Heard = { messages: [], gaps: 0 };
      to.subscribe({ onIncrease: (...message) => heard.messages.push(message), onGap: () => (heard.gaps += 1) });
      return heard;
    }

    const listeners = async () => Object.values(await redis.client.pubSubNumSub('llm-cache:messages'))[0];

    it('reach every process, this one included, once', async () => {
      const [one, two] = [coordination(), coordination()];
      const heard = [listen(one), listen(two)];
      expect(await listeners()).toBe(0);
      await Promise.all([one.increase('warm', undefined), two.increase('warm', undefined)]);
      await until(async () => (await listeners()) === 2);
      heard.forEach(({ messages }) => messages.splice(0));
      const count = await one.increase('x', undefined, 'naïve Ω "quoted"');
      const next = await two.increase('{a} b', 7);
      await until(() => heard.every(({ messages }) => messages.length === 2));
      for (const { messages, gaps } of heard) {
        expect(messages).toEqual([['x', count, 'naïve Ω "quoted"'], ['{a} b', next, undefined]]);
        expect(gaps).toBe(0);
      }
    });

    it('begin with any operation, and end with the last listener', async () => {
      const store = open({ url: redis.server.url });
      const { coordination: own } = adapterOf(store);
      const silent = { onIncrease: () => undefined, onGap: () => undefined };
      const [endFirst, endSecond] = [own.subscribe(silent), own.subscribe(silent)];
      expect(await listeners()).toBe(0);
      await store.get('anything');
      await until(async () => (await listeners()) === 1);
      endFirst();
      await store.get('anything');
      expect(await listeners()).toBe(1);
      endSecond();
      endSecond();
      await until(async () => (await listeners()) === 0);
      await store.get('anything');
      expect(await listeners()).toBe(0);
    });

    it('pass over what is no message', async () => {
      const store = coordination();
      const heard = listen(store);
      await store.increase('warm', undefined);
      await until(async () => (await listeners()) === 1);
      const publish = (text: string) => redis.client.publish('llm-cache:messages', text);
      for (const text of ['', 'hello', '{}', '5', '5 x', '5 []', '5 [1]', '5 ["a",1]', '5 ["a","b","c"]', '-5 ["a"]', '5.5 ["a"]', '12345678901234567 ["a"]', 'x ["a"]']) await publish(text);
      await publish('5 ["a"]');
      await until(() => heard.messages.at(-1)?.[0] === 'a');
      expect(heard.messages.filter(([name]) => name !== 'warm')).toEqual([['a', 5, undefined]]);
    });

    it('tell of a gap when a count was read before the first message could come', async () => {
      const store = open({ url: redis.server.url });
      await store.get('anything');
      const heard = listen(adapterOf(store).coordination);
      await redis.client.configSet('maxclients', '2'); // this client and the store's first connection
      try {
        await adapterOf(store).coordination.counts(['x']);
        expect([await listeners(), heard.gaps]).toEqual([0, 0]);
      } finally {
        await redis.client.configSet('maxclients', '1000');
      }
      await until(() => heard.gaps === 1);
    });

    it('tell of a gap for every further connection', async () => {
      const store = coordination();
      const heard = listen(store);
      await store.increase('warm', undefined);
      await until(async () => (await listeners()) === 1);
      for (const gaps of [1, 2]) {
        await redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'PUBSUB']);
        await until(() => heard.gaps === gaps);
        const count = await store.increase('x', undefined);
        await until(() => heard.messages.at(-1)?.[1] === count);
      }
    });
  });
});
