// Chance that can be replayed: a seed gives the same numbers again (mulberry32).

export class Random {
  #state;

  /** @param {string} stream numbers of one purpose do not depend on how many were drawn for another */
  constructor(seed, stream) {
    this.#state = Buffer.from(`${seed} ${stream}`).reduce((hash, byte) => Math.imul(hash ^ byte, 0x01_00_01_93), 0x81_1c_9d_c5);
  }

  /** From 0 up to 1. */
  next() {
    this.#state = (this.#state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  between(low, high) {
    return low + this.next() * (high - low);
  }

  isSo(probability) {
    return this.next() < probability;
  }

  one(list) {
    return list[Math.floor(this.next() * list.length)];
  }

  /** @param {Record<string, number>} weights */
  weighted(weights) {
    const entries = Object.entries(weights);
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    return (entries.find(([, weight]) => (left -= weight) < 0) ?? entries.at(-1))[0];
  }

  shuffled(list) {
    const left = [...list];
    return list.map(() => left.splice(Math.floor(this.next() * left.length), 1)[0]);
  }
}
