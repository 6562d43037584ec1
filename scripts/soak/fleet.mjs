// The processes, and the record of everything that is done to them and that they say.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { topicOf } from './questions.mjs';
import { now } from './skewed-clock.mjs';

const WORKER = fileURLToPath(new URL('worker.mjs', import.meta.url));
const ENDS_WITHIN_MS = 10_000;
/** A frozen process is not asked without end. */
const MOST_OUTSTANDING = 300;

export class Fleet {
  /** Times are milliseconds of the clock that all processes share. */
  record = { calls: [], invalidations: [], faults: [], lives: [], samples: [], health: [], problems: [], storeErrors: [], said: [] };
  #present = [];

  constructor(setting) {
    this.setting = setting;
  }

  /** Starts a worker in the place of the one before. Resolves once it is ready. */
  async start(worker, version, clockOffMs) {
    const setting = JSON.stringify({ ...this.setting, version, clockOffMs });
    const options = ['--expose-gc', '--disable-warning=ExperimentalWarning'];
    const child = spawn(process.execPath, [...options, WORKER, setting], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    const life = { number: this.record.lives.length, worker, version, pid: child.pid, startedAt: now(), readyAt: undefined, endedAt: undefined, how: undefined };
    const member = { child, life, outstanding: new Set(), isOpen: false, isStopped: false };
    this.record.lives.push(life);
    this.#present[worker] = member;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => this.#problem(life, `it printed: ${text}`));
    child.on('message', (message) => this.#hear(member, message));
    child.once('exit', (code, signal) => {
      life.endedAt = now();
      member.isOpen = false;
      if (life.how === undefined) this.#problem(life, `it ended by itself with ${signal ?? code}`);
      else if (life.how === 'closed' && code !== 0) this.#problem(life, `it closed with ${signal ?? code}`);
    });
    while (life.readyAt === undefined && life.endedAt === undefined) await Promise.race([once(child, 'message'), once(child, 'exit')]);
    member.isOpen = life.endedAt === undefined;
  }

  get open() {
    return [...this.#present.keys()].filter((worker) => this.#present[worker].isOpen && this.#present[worker].outstanding.size < MOST_OUTSTANDING);
  }

  get outstanding() {
    return this.#present.reduce((sum, { outstanding }) => sum + outstanding.size, 0);
  }

  /** @returns the number of the call, or of the first of a batch */
  ask({ worker, questions, way, control, abortAfterMs }) {
    const member = this.#present[worker];
    const { number: life, version } = member.life;
    const id = this.record.calls.length;
    for (const question of questions) {
      const topic = topicOf(question, version);
      this.record.calls.push({ id: this.record.calls.length, life, worker, version, question, topic, way, control, abortAfterMs, sentAt: now() });
      member.outstanding.add(this.record.calls.length - 1);
    }
    const [{ scope, names }] = questions;
    member.child.send({ kind: 'ask', id, questions: questions.map(({ upstream }) => upstream), way, scope, name: names[0], control, abortAfterMs }, ignore);
    return id;
  }

  /** @returns its number */
  invalidate(worker, target) {
    const { child, life } = this.#present[worker];
    const id = this.record.invalidations.length;
    this.record.invalidations.push({ id, life: life.number, worker, version: life.version, target, sentAt: now(), calledAt: undefined, at: undefined, error: undefined });
    child.send({ kind: 'invalidate', id, target, scope: target.keyScope }, ignore);
    return id;
  }

  setClock(worker, ms) {
    this.#present[worker].child.send({ kind: 'clock', ms }, ignore);
  }

  sample() {
    for (const { child, isOpen, isStopped } of this.#present) if (isOpen && !isStopped) child.send({ kind: 'sample' }, ignore);
  }

  stop(worker) {
    this.#present[worker].isStopped = true;
    this.#present[worker].child.kill('SIGSTOP');
  }

  resume(worker) {
    this.#present[worker].child.kill('SIGCONT');
    this.#present[worker].isStopped = false;
  }

  isStopped(worker) {
    return this.#present[worker].isStopped;
  }

  versionOf(worker) {
    return this.#present[worker].life.version;
  }

  pidOf(worker) {
    return this.#present[worker].life.pid;
  }

  async kill(worker) {
    const member = this.#present[worker];
    await this.#end(member, 'killed', () => member.child.kill('SIGKILL'));
    member.outstanding.clear();
  }

  /** Closes its application, with calls still under way; then it has to end by itself. */
  async close(worker) {
    const member = this.#present[worker];
    const giveUp = setTimeout(() => {
      this.#problem(member.life, 'it did not end by itself after app.close()');
      member.child.kill('SIGKILL');
    }, ENDS_WITHIN_MS);
    await this.#end(member, 'closed', () => member.child.send({ kind: 'close' }, ignore));
    clearTimeout(giveUp);
  }

  closeAll() {
    return Promise.all(this.#present.map(({ life }, worker) => life.endedAt ?? this.close(worker)));
  }

  /** For the end of this process, which waits for nothing. */
  killNow() {
    for (const { child } of this.#present) child.kill('SIGKILL');
  }

  async #end(member, how, begin) {
    member.isOpen = false;
    member.life.how = how;
    member.life.endingAt = now();
    if (member.life.endedAt !== undefined) return;
    const ended = once(member.child, 'exit');
    begin();
    await ended;
  }

  #problem(life, what) {
    this.record.problems.push({ at: now(), life: life.number, worker: life.worker, what });
  }

  #hear(member, { kind, ...message }) {
    const { record } = this;
    const from = { life: member.life.number, worker: member.life.worker };
    if (kind === 'reply') {
      Object.assign(record.calls[message.id], message);
      member.outstanding.delete(message.id);
    } else if (kind === 'invalidated') Object.assign(record.invalidations[message.id], message);
    else if (kind === 'ready') member.life.readyAt = message.at;
    else if (kind === 'closed') member.life.stats = message.stats;
    else record[{ sample: 'samples', health: 'health', problem: 'problems', 'store-error': 'storeErrors', said: 'said' }[kind]].push({ ...from, ...message });
  }
}

/** A process that was killed takes no messages; what it owes is not expected. */
function ignore() {}
