/** Names in Redis. Everything is below the encoded namespace, so that whose a key is can be told from the key alone. */
export class RedisKeys {
  readonly prefix: string;
  /** The channel of messages. It is a name apart from the keys. */
  readonly channel: string;
  /** The channel of leases that were given up. */
  readonly leaseChannel: string;

  constructor(namespace: string) {
    this.prefix = `${encodeNamespace(namespace)}:`;
    this.channel = `${this.prefix}messages`;
    this.leaseChannel = `${this.prefix}leases`;
  }

  /** Of a value or a counter. */
  of(key: string): string {
    return this.prefix + key;
  }

  /** Of the lease of a value: in the value's slot of a Cluster, as the braces say. A key may have some of its own. */
  ofLease(key: string): string {
    return `${this.slotOf(key)}:lease`;
  }

  /** Of what tells when a value was removed last; there too. */
  ofRemoval(key: string): string {
    return `${this.slotOf(key)}:removed`;
  }

  private slotOf(key: string): string {
    const place = this.of(key);
    return /^[^{]*\{[^}]+\}/.test(place) ? place : `{${place}}`;
  }

  /** The pattern of `SCAN` for all keys that begin so. */
  pattern(start: string): string {
    return `${(this.prefix + start).replace(/[\\*?[\]]/g, '\\$&')}*`;
  }
}

/**
 * Without `:`, which ends it, so that `a` and `a:b` are apart; and without braces, with which a key chooses its slot in a
 * Cluster. UTF-8 has no lone surrogates.
 */
function encodeNamespace(namespace: string): string {
  return namespace.replace(/[%:{}]|\p{Surrogate}/gu, (character) => `%${character.codePointAt(0)!.toString(16)}`);
}
