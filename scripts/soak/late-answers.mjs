// Answers that come too late to be stored: it is no longer their process's turn, and nothing has told it so.
import { setTimeout as sleep } from 'node:timers/promises';
import { QUESTIONS } from './questions.mjs';
import { BOUND_MS } from './settings.mjs';

/** Answered in one piece, so that the answer is there as a whole; and removed by their key, which no version tells of. */
const LATE_KINDS = new Set(['chat', 'method', 'wrap']);
export const LATE_QUESTIONS = QUESTIONS.filter(({ kind }) => LATE_KINDS.has(kind));

const LOOKS_EVERY_MS = 2;
/** Each step gives up after this long: a process may end, and Redis be out of reach. */
const STEP_MS = 700;
/** Until a signal has stopped every thread of a process. */
const STOPS_WITHIN_MS = 5;

export class LateAnswers {
  constructor(fleet, upstream) {
    this.fleet = fleet;
    this.upstream = upstream;
  }

  /**
   * The leader is frozen with its answer already there, and another process removes the entry by its key. When the leader
   * goes on, the answer comes before the message of the removal: only the commit can tell it that its turn is over. Short:
   * one that was frozen for longer than `maxInvalidationDelay` asks the store for the versions, and hears of the removal.
   */
  async removed({ worker: leader, question: index }) {
    const { fleet } = this;
    const question = LATE_QUESTIONS[index];
    const remover = this.#other(leader);
    if (remover === undefined) return undefined;
    const late = await this.#held(leader, question);
    if (late !== undefined && this.#runs(leader) && this.#runs(remover)) {
      fleet.stop(leader);
      await sleep(STOPS_WITHIN_MS);
      late.letGo();
      await until(() => late.call.status !== 'running');
      const removal = fleet.invalidate(remover, { key: question.upstream, keyScope: question.scope });
      await until(() => fleet.record.invalidations[removal].at !== undefined);
      fleet.resume(leader);
    }
    return () => this.#lookFor(late, question, remover);
  }

  /** While the leader waits for its answer, another process takes over: with `noCache`, for a newer one, which it stores first. */
  async overtaken({ worker: leader, question: index }) {
    const { fleet } = this;
    const question = LATE_QUESTIONS[index];
    const overtaker = this.#other(leader);
    if (overtaker === undefined) return undefined;
    const late = await this.#held(leader, question);
    if (late !== undefined && this.#runs(overtaker)) {
      const newer = await this.#held(overtaker, question);
      newer?.letGo();
      await until(() => newer === undefined || fleet.record.calls[newer.id].at !== undefined);
    }
    return () => this.#lookFor(late, question, overtaker);
  }

  #runs(worker) {
    return this.fleet.open.includes(worker) && !this.fleet.isStopped(worker);
  }

  /** One with the same keys. */
  #other(worker) {
    const { fleet } = this;
    return fleet.open.find((each) => each !== worker && this.#runs(each) && fleet.versionOf(each) === fleet.versionOf(worker));
  }

  /** A call under way whose answer waits to be let go. */
  async #held(worker, question) {
    const pid = this.fleet.pidOf(worker);
    const held = this.upstream.hold((call) => call.pid === pid && call.question === question.upstream && call.scope === question.scope);
    const id = this.fleet.ask({ worker, questions: [question], way: question.ways[0], control: { noCache: true } });
    await until(() => held.call !== undefined);
    if (held.call !== undefined) return Object.assign(held, { id });
    held.letGo();
    return undefined;
  }

  /** Once the late answer is there: by everybody who has the key, the other first; at once, and when the bound is over. */
  async #lookFor(late, question, other) {
    const { fleet } = this;
    late?.letGo();
    await until(() => late === undefined || fleet.record.calls[late.id].at !== undefined);
    const ask = (worker) => fleet.ask({ worker, questions: [question], way: question.ways[0], control: {} });
    for (const afterMs of [0, BOUND_MS + LOOKS_EVERY_MS]) {
      await sleep(afterMs);
      for (const worker of [other, ...fleet.open.filter((each) => each !== other)]) if (this.#runs(worker)) ask(worker);
    }
  }
}

async function until(isSo) {
  for (let waitedMs = 0; !isSo() && waitedMs < STEP_MS; waitedMs += LOOKS_EVERY_MS) await sleep(LOOKS_EVERY_MS);
}
