/**
 * Runs every entry once a round, in shuffled order, so that noise hits all alike; compare ratios, not absolute times.
 * The figure is the 20th percentile of the rounds: on a shared machine the median still measures the neighbours.
 *
 * @param {Record<string, () => unknown>} entries
 * @returns {Promise<Record<string, number>>} microseconds per operation
 */
export async function measure(entries, { operations, rounds = 60 }) {
  const samples = Object.fromEntries(Object.keys(entries).map((name) => [name, []]));
  for (let round = -5; round < rounds; round++) {
    for (const [name, run] of shuffled(Object.entries(entries))) {
      const startedAt = process.hrtime.bigint();
      for (let operation = 0; operation < operations; operation++) {
        const result = run();
        if (result instanceof Promise) await result;
      }
      const microseconds = Number(process.hrtime.bigint() - startedAt) / 1_000 / operations;
      if (round >= 0) samples[name].push(microseconds);
    }
  }
  return Object.fromEntries(Object.entries(samples).map(([name, values]) => [name, percentile(values, 0.2)]));
}

export function percentile(values, fraction) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * fraction)];
}

function shuffled(list) {
  const copy = [...list];
  for (let index = copy.length - 1; index > 0; index--) {
    const other = Math.floor(Math.random() * (index + 1));
    [copy[index], copy[other]] = [copy[other], copy[index]];
  }
  return copy;
}
