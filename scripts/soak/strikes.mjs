// The faults of a plan, as they happen.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LateAnswers } from './late-answers.mjs';
import { now } from './skewed-clock.mjs';

export class Strikes {
  constructor(fleet, redis, upstream) {
    this.fleet = fleet;
    this.redis = redis;
    this.lateAnswers = new LateAnswers(fleet, upstream);
  }

  /** Resolves once the last is over. */
  async all(plan) {
    const { record } = this.fleet;
    const underWay = [];
    for (const fault of plan) {
      await sleep(Math.max(0, record.startedAt + fault.atMs - now()));
      if (fault.worker === undefined || this.#isFree(fault.worker)) underWay.push(this.#strike(fault));
    }
    await Promise.all(underWay);
  }

  /** A process that is ending, starting or frozen is spared. */
  #isFree(worker) {
    return this.fleet.open.includes(worker) && !this.fleet.isStopped(worker);
  }

  async #strike({ atMs: _atMs, ...planned }) {
    const fault = { ...planned, from: now(), until: undefined };
    this.fleet.record.faults.push(fault);
    const after = await this.#of[fault.what](fault);
    fault.until = now();
    await after?.();
  }

  /** Each resolves when things may begin to get well; what it returns is done after that. */
  #of = {
    'redis restart': ({ forMs }) => this.redis.restart(forMs),
    'redis freeze': async ({ forMs }) => {
      this.redis.freeze();
      await sleep(forMs);
      this.redis.thaw();
    },
    'messages cut': () => tell(this.redis.port, 'CLIENT KILL TYPE pubsub'),
    clock: ({ worker, offMs }) => this.fleet.setClock(worker, offMs),
    stop: async ({ worker, forMs }) => {
      this.fleet.stop(worker);
      await sleep(forMs);
      this.fleet.resume(worker);
    },
    kill: async ({ worker }) => {
      await this.fleet.kill(worker);
      return () => this.fleet.start(worker, this.fleet.versionOf(worker), 0);
    },
    'late, removed': (fault) => this.lateAnswers.removed(fault),
    'late, overtaken': (fault) => this.lateAnswers.overtaken(fault),
    /** A deployment: closed, and started with another version. */
    release: async ({ worker }) => {
      await this.fleet.close(worker);
      return () => this.fleet.start(worker, 3 - this.fleet.versionOf(worker), 0);
    },
  };
}

/** In Redis's inline protocol. */
async function tell(port, command) {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined).resume(); // it may be down just now; what it says is of no interest
  socket.setTimeout(2_000, () => socket.destroy());
  socket.end(`${command}\r\n`);
  await new Promise((done) => socket.once('close', done));
}
