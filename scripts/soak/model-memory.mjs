// The worker that lives through the whole run keeps its memory. Pure.
import { HEAP_GROWTH_BYTES } from './settings.mjs';

const ENOUGH_SAMPLES = 9;

/** Of samples after a full collection: the last third against the middle one; the first is for warming up. */
export function judgeMemory({ samples, lives }) {
  const own = samples.filter(({ life }) => life === 0);
  const third = Math.floor(own.length / 3);
  if (third * 3 < ENOUGH_SAMPLES) return { violations: [], figures: { heapGrowth: NaN, rssGrowth: NaN } };
  const growth = (field) => median(own.slice(-third), field) - median(own.slice(third, 2 * third), field);
  const figures = { heapGrowth: growth('heapUsed'), rssGrowth: growth('rss') };
  const isFlat = figures.heapGrowth <= HEAP_GROWTH_BYTES;
  const what = `the heap of worker ${lives[0].worker} grew by ${(figures.heapGrowth / 1024 ** 2).toFixed(1)} MB`;
  return { violations: isFlat ? [] : [{ kind: 'memory grows', at: own.at(-1).at, what }], figures };
}

function median(samples, field) {
  const sorted = samples.map((sample) => sample[field]).sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)];
}
