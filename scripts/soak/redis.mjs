// A Redis of the soak's own, and what befalls it.
import { setTimeout as sleep } from 'node:timers/promises';
import { INSTALL, OwnRedis, redisProgram } from '../../sample-app/demo/own-redis.mjs';

export class Redis {
  #server;

  static async start() {
    if (redisProgram() === undefined) throw new Error(INSTALL);
    const redis = new Redis();
    redis.#server = await OwnRedis.start();
    return redis;
  }

  get port() {
    return this.#server.port;
  }

  get url() {
    return this.#server.url;
  }

  freeze() {
    this.#server.child.kill('SIGSTOP');
  }

  thaw() {
    this.#server.child.kill('SIGCONT');
  }

  /** As if its machine lost power; it comes back empty. */
  async restart(downMs) {
    await this.stop();
    await sleep(downMs);
    this.#server = await OwnRedis.start(redisProgram(), this.port);
  }

  stop() {
    return this.#server.stop();
  }
}
