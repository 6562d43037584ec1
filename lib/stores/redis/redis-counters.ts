import { randomInt } from 'node:crypto';
import { ignoreOtherTypes, type RedisLink } from './redis-link.js';
import { RedisScript } from './redis-script.js';

/**
 * Of one counter: one more than it was, and more than `ARGV[2]` where the store is only little behind that, as a replica
 * is that took over. A counter that is lost, or no number, starts at `ARGV[1]`; of another type than a string, `GET` gives
 * an error, which is a table. `%.0f`, because Lua writes large numbers with fourteen digits at most.
 */
const INCREASE = new RedisScript(`
local found = redis.pcall('GET', KEYS[1])
local count = type(found) == 'string' and tonumber(found) or tonumber(ARGV[1])
local seen = tonumber(ARGV[2])
if count < seen and seen - count < 1e6 then count = seen end
local increased = string.format('%.0f', count + 1)
redis.call('SET', KEYS[1], increased)
redis.call('PUBLISH', ARGV[3], increased .. ' ' .. ARGV[4])
return increased`);

/** Adds one and publishes `<count> <body>`, in one step. @returns the new count */
export async function increaseCounter(link: RedisLink, key: string, lastSeen: number | undefined, channel: string, body: string): Promise<number> {
  return Number(await INCREASE.run(link, [key], [String(randomStart()), String(lastSeen ?? 0), channel, body]));
}

/** The present count. One that is missing gets a random one, and processes that start together agree on it. */
export async function readCounter(link: RedisLink, key: string): Promise<number> {
  const found = toCount(await link.send(key, ['GET', key]).catch(ignoreOtherTypes));
  if (found !== undefined) return found;
  const start = String(randomStart());
  await link.send(key, ['SET', key, start, 'NX']);
  const now = toCount(await link.send(key, ['GET', key]).catch(ignoreOtherTypes));
  if (now !== undefined) return now;
  // What is there is no count. Whoever read one meanwhile has a count that is gone, which costs a miss.
  await link.send(key, ['SET', key, start]);
  return Number(start);
}

function toCount(reply: unknown): number | undefined {
  return typeof reply === 'string' && /^\d{1,16}$/.test(reply) ? Number(reply) : undefined;
}

/** Of thirteen digits: two starts are hardly ever within a million of each other, and all counts are exact numbers. */
function randomStart(): number {
  return randomInt(1e12, 1e13);
}
