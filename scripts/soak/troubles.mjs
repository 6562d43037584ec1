// When a worker could not be expected to reach Redis, and whether it got well in time. Pure.
import { RECOVERY_MS } from './settings.mjs';

/** A fault is felt from a little before it is written down. */
const MARGIN_MS = 300;
/** Between two looks of a worker that runs freely, and during one. */
const HEALTHY_GAP_MS = 600;
const FREEZES = new Set(['stop', 'late, removed']);
const REDIS_FAULTS = new Set(['redis restart', 'redis freeze', 'messages cut']);

export class Troubles {
  violations = [];
  /** By worker: from when to when. */
  #of = new Map();

  constructor(record) {
    this.record = record;
    const workers = [...new Set(record.lives.map(({ worker }) => worker))];
    this.#health = new Map(workers.map((worker) => [worker, record.health.filter((each) => each.worker === worker)]));
    for (const worker of workers) this.#of.set(worker, []);
    for (const fault of record.faults) this.#suffer(fault, workers);
    for (const { worker, at } of record.storeErrors) this.#add(worker, at, at);
    for (const worker of workers) this.#of.set(worker, merged(this.#of.get(worker)));
  }

  /** Whether the worker of a life was in trouble within a time. */
  ofLife(life, from, until) {
    return this.those(life, from, until).length > 0;
  }

  /** The troubles of the worker of a life within a time. */
  those(life, from, until) {
    return this.#of.get(this.record.lives[life].worker).filter((trouble) => trouble.from <= until && trouble.until >= from);
  }

  /** Whether Redis lost what it held. */
  restarted(from, until) {
    return this.restarts(from, until) > 0;
  }

  restarts(from, until) {
    return this.record.faults.filter((fault) => fault.what === 'redis restart' && fault.from <= until && fault.until >= from).length;
  }

  /** For how long a process was frozen, or kept from running by a busy machine, within a time: it looks at its health all the time. */
  heldUpMs(worker, from, until, gapAllowedMs = HEALTHY_GAP_MS) {
    const times = this.#health.get(worker).flatMap(({ startedAt, at }) => [startedAt, at]);
    let sum = 0;
    for (const [index, end] of times.entries()) {
      const gapMs = Math.min(end, until) - Math.max(times[index - 1] ?? end, from);
      if (gapMs > gapAllowedMs) sum += gapMs;
    }
    return sum;
  }

  #health;

  #suffer(fault, workers) {
    if (FREEZES.has(fault.what)) this.#add(fault.worker, fault.from, fault.until);
    if (!REDIS_FAULTS.has(fault.what)) return;
    for (const worker of workers) {
      const wellAt = this.#add(worker, fault.from, fault.until);
      const inTime = fault.until + RECOVERY_MS + this.heldUpMs(worker, fault.from, fault.until + RECOVERY_MS);
      if (wellAt > inTime && this.#isUndisturbed(worker, fault, inTime)) {
        this.violations.push({ kind: 'not recovered', at: fault.until, what: `worker ${worker} was not well ${RECOVERY_MS} ms after the end of: ${fault.what}` });
      }
    }
  }

  #add(worker, from, until) {
    const wellAt = this.#health.get(worker).find(({ startedAt, isWell }) => startedAt >= until && isWell)?.at ?? Infinity;
    this.#of.get(worker).push({ from: from - MARGIN_MS, until: wellAt + MARGIN_MS });
    return wellAt;
  }

  /** Whether nothing else befell it, and it was there. */
  #isUndisturbed(worker, { until }, end) {
    const { faults, lives, endedAt } = this.record;
    if (endedAt !== undefined && endedAt < end) return false;
    if (faults.some((fault) => fault.from < end && fault.until > until && (fault.worker === worker || REDIS_FAULTS.has(fault.what)))) return false;
    return lives.some((life) => life.worker === worker && life.readyAt < until && (life.endingAt ?? Infinity) > end);
  }
}

function merged(times) {
  const merging = [];
  for (const { from, until } of times.sort((one, other) => one.from - other.from)) {
    const last = merging.at(-1);
    if (last !== undefined && from <= last.until) last.until = Math.max(last.until, until);
    else merging.push({ from, until });
  }
  return merging;
}
