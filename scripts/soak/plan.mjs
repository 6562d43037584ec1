// What goes wrong, and when: decided by the seed before the run, so that a seed can be replayed.
import { LATE_QUESTIONS } from './late-answers.mjs';
import { Random } from './random.mjs';
import { WORKERS } from './settings.mjs';

const HOUR_MS = 3_600_000;
const FIRST_FAULT_MS = 1_500;
/** Without new faults at the end: everything has to have recovered. */
const CALM_MS = 6_000;
const REDIS_FAULT_EVERY_MS = [3_500, 6_500];
const WORKER_FAULT_EVERY_MS = [700, 1_700];
const LATE_ANSWER_EVERY_MS = [900, 1_700];
const REDIS_FAULTS = ['redis restart', 'redis freeze', 'messages cut'];
const WORKER_FAULTS = ['kill', 'stop', 'stop', 'release', 'clock', 'clock'];
const LATE_ANSWERS = ['late, removed', 'late, removed', 'late, overtaken'];

/**
 * @typedef {object} Fault
 * @property {number} atMs since the start
 * @property {string} what
 * @property {number} [worker]
 * @property {number} [forMs] how long it lasts
 * @property {number} [offMs] of a clock
 * @property {number} [question] of those whose answer may come late
 */

/** @returns {Fault[]} in their order */
export function planOf(seed, seconds) {
  const random = new Random(seed, 'faults');
  const endMs = seconds * 1_000 - CALM_MS;
  const redis = schedule(random, endMs, REDIS_FAULT_EVERY_MS, REDIS_FAULTS, (what) => ({ what, forMs: Math.round(lengthOf(random, what)) }));
  const workers = schedule(random, endMs, WORKER_FAULT_EVERY_MS, WORKER_FAULTS, (what) => workerFault(random, what));
  const late = schedule(random, endMs, LATE_ANSWER_EVERY_MS, LATE_ANSWERS, (what) => ({
    what,
    worker: Math.floor(random.between(0, WORKERS)),
    question: Math.floor(random.between(0, LATE_QUESTIONS.length)),
  }));
  return [...redis, ...workers, ...late].sort((one, other) => one.atMs - other.atMs);
}

/** Each deck is dealt whole before it is shuffled again, so that a short run has every kind. */
function schedule(random, endMs, everyMs, kinds, faultOf) {
  const faults = [];
  let deck = [];
  for (let atMs = FIRST_FAULT_MS + random.between(0, everyMs[0]); atMs < endMs; atMs += random.between(...everyMs)) {
    if (deck.length === 0) deck = random.shuffled(kinds);
    faults.push({ atMs: Math.round(atMs), ...faultOf(deck.pop()) });
  }
  return faults;
}

function lengthOf(random, what) {
  if (what === 'redis restart') return random.between(0, 800);
  return what === 'redis freeze' ? random.between(200, 2_500) : 0;
}

function workerFault(random, what) {
  // The first lives through the whole run: its memory is watched.
  const worker = Math.floor(what === 'kill' || what === 'release' ? random.between(1, WORKERS) : random.between(0, WORKERS));
  if (what === 'stop') return { what, worker, forMs: Math.round(random.between(200, 3_000)) };
  if (what === 'clock') return { what, worker, offMs: Math.round(random.isSo(0.5) ? random.between(-HOUR_MS, HOUR_MS) : random.between(-5_000, 5_000)) };
  return { what, worker };
}
