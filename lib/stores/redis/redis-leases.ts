import { randomBytes } from 'node:crypto';
import { REMOVAL_REMEMBERED_MS, type CommitRight, type LeaseReply, type LeaseRequest, type Leases } from '../coordination.js';
import { pack } from '../own-store.js';
import type { RedisArgument } from './load-client.cjs';
import type { RedisKeys } from './redis-keys.js';
import { RedisScript } from './redis-script.js';
import { encodeText } from './redis-text.js';

/** How long a note of failure waits for those who wait for the lease. */
const NOTE_MS = 2_000;

/**
 * The value of a lease: `<token>`, `<token>*` where somebody waits for it, or `!<token> <note>` after its holder has failed.
 * Those who wait are told by a message; where nobody waits there is none.
 */
const HELD_BY = `
local function heldBy(token)
  local holder = redis.call('GET', KEYS[1])
  if holder == token then return 1 end
  return holder == token .. '*' and 2
end
local function tell(waiters, channel, message)
  if waiters == 2 then redis.call('PUBLISH', channel, message) end
end
`;

/** KEYS lease, value; ARGV token, lease in ms, '1' to take over, who was waited for, how many bytes of the value. */
const TAKE = new RedisScript(`
local holder = redis.call('GET', KEYS[1])
local failed = holder and string.sub(holder, 1, 1) == '!'
if failed and ARGV[4] ~= '' and ARGV[3] == '0' then
  local token = '!' .. ARGV[4] .. ' '
  if string.sub(holder, 1, #token) == token then return {'failed', string.sub(holder, #token + 1)} end
end
if holder and not failed and ARGV[3] == '0' then
  local leftMs = redis.call('PTTL', KEYS[1])
  if string.sub(holder, -1) == '*' then holder = string.sub(holder, 1, -2)
  else redis.call('SET', KEYS[1], holder .. '*', 'KEEPTTL') end
  return {'held', holder, tostring(leftMs)}
end
local waited = holder and not failed and string.sub(holder, -1) == '*' and '*' or ''
redis.call('SET', KEYS[1], ARGV[1] .. waited, 'PX', ARGV[2])
local value = redis.pcall('GETRANGE', KEYS[2], 0, ARGV[5])
return {'granted', type(value) == 'string' and value or ''}`);

/** KEYS lease; ARGV token, lease in ms. */
const EXTEND = new RedisScript(`${HELD_BY}
if not heldBy(ARGV[1]) then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`);

/** KEYS lease, value; ARGV token, value, its lifetime in ms or '', channel, message. */
const COMMIT = new RedisScript(`${HELD_BY}
local held = heldBy(ARGV[1])
if not held then return 0 end
if ARGV[3] == '' then redis.call('SET', KEYS[2], ARGV[2]) else redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
redis.call('DEL', KEYS[1])
tell(held, ARGV[4], ARGV[5])
return 1`);

/** KEYS value, its last removal; ARGV removal known, value, its lifetime in ms or ''. The lease of another is left alone. */
const COMMIT_PERMITTED = new RedisScript(`
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1`);

/** KEYS the last removal of a value. */
const LAST_REMOVAL = new RedisScript("return redis.call('GET', KEYS[1]) or ''");

/** KEYS lease; ARGV token, note or '', its lifetime in ms, channel, message. */
const RELEASE = new RedisScript(
  `${HELD_BY}
local held = heldBy(ARGV[1])
if not held then return 0 end
if held == 2 and ARGV[2] ~= '' then redis.call('SET', KEYS[1], '!' .. ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
else redis.call('DEL', KEYS[1]) end
tell(held, ARGV[4], ARGV[5])
return 1`,
  true, // the store may be closed right after it
);

/** KEYS lease, value, its last removal; ARGV channel, message, this removal, for how many ms it is remembered. */
const REMOVE = new RedisScript(`
local held = redis.call('GET', KEYS[1])
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
if held and string.sub(held, -1) == '*' then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return 1`);

/** Runs a script where the key is. */
type Run = (script: RedisScript, keys: readonly [string, ...string[]], args: readonly RedisArgument[], asBytes?: boolean) => Promise<unknown>;

/** Leases in Redis: each operation is one script, about keys of one slot. */
export class RedisLeases implements Leases {
  constructor(
    private readonly keys: RedisKeys,
    private readonly run: Run,
    /** The text in the bytes of an entry, as a read of it gives. */
    private readonly textIn: (bytes: unknown) => string | undefined,
  ) {}

  async take(key: string, { token, leaseMs, takesOver, waitedFor = '', maxBytes }: LeaseRequest): Promise<LeaseReply> {
    const args = [token, String(Math.ceil(leaseMs)), takesOver ? '1' : '0', waitedFor, String(maxBytes)];
    const [kind, first, second] = (await this.run(TAKE, this.both(key), args, true)) as [Buffer, Buffer | null, Buffer?];
    switch (kind.toString()) {
      case 'granted':
        return { kind: 'granted', text: this.textIn(first) };
      case 'held':
        return { kind: 'held', holder: String(first), leftMs: Math.max(0, Number(second)) };
      default:
        return { kind: 'failed', note: String(first) };
    }
  }

  async removal(key: string): Promise<string> {
    return String(await this.run(LAST_REMOVAL, [this.keys.ofRemoval(key)], []));
  }

  async extend(key: string, token: string, leaseMs: number): Promise<boolean> {
    return (await this.run(EXTEND, [this.keys.ofLease(key)], [token, String(Math.ceil(leaseMs))])) === 1;
  }

  async commit(key: string, right: CommitRight, text: string, ttlMs: number | undefined): Promise<boolean> {
    const packed = encodeText(pack(text, ttlMs === undefined ? undefined : Date.now() + ttlMs));
    const lifetime = ttlMs === undefined ? '' : String(Math.max(1, Math.ceil(ttlMs)));
    if ('removal' in right) {
      if (right.removal === undefined) return false;
      return (await this.run(COMMIT_PERMITTED, [this.keys.of(key), this.keys.ofRemoval(key)], [right.removal, packed, lifetime])) === 1;
    }
    return (await this.run(COMMIT, this.both(key), [right.token, packed, lifetime, this.keys.leaseChannel, key])) === 1;
  }

  async release(key: string, token: string, note = ''): Promise<void> {
    await this.run(RELEASE, [this.keys.ofLease(key)], [token, note, String(NOTE_MS), this.keys.leaseChannel, key]);
  }

  async remove(key: string): Promise<void> {
    const removal = randomBytes(9).toString('base64url');
    await this.run(REMOVE, [...this.both(key), this.keys.ofRemoval(key)], [this.keys.leaseChannel, key, removal, String(REMOVAL_REMEMBERED_MS)]);
  }

  private both(key: string): [string, string] {
    return [this.keys.ofLease(key), this.keys.of(key)];
  }
}
