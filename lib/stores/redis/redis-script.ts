import { createHash } from 'node:crypto';
import type { RedisArgument } from './load-client.cjs';
import type { RedisLink } from './redis-link.js';

/** A script that runs on the server in one step. Servers keep scripts by their digest; one that has it not yet is sent the whole. */
export class RedisScript {
  private readonly digest: string;

  /** @param isSentWhole always, in one command: for one that may be the last over its link */
  constructor(
    private readonly source: string,
    private readonly isSentWhole = false,
  ) {
    this.digest = createHash('sha1').update(source).digest('hex');
  }

  /** @param keys all of one slot of a Cluster */
  async run(link: RedisLink, keys: readonly [string, ...string[]], args: readonly RedisArgument[], asBytes?: boolean): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args];
    if (this.isSentWhole) return link.send(keys[0], ['EVAL', this.source, ...rest], asBytes);
    try {
      return await link.send(keys[0], ['EVALSHA', this.digest, ...rest], asBytes);
    } catch (error) {
      if (!(error as Error).message.startsWith('NOSCRIPT')) throw error;
      return link.send(keys[0], ['EVAL', this.source, ...rest], asBytes);
    }
  }
}
