// What is asked, of whom and how; and what is invalidated.
import { QUESTIONS } from './questions.mjs';

/** A few questions are asked most of the time. */
const ZIPF_EXPONENT = 0.9;
const CONTROLS = { plain: 80, onlyIfCached: 7, noCache: 3, noStore: 3, maxAge: 3, abort: 4 };
const TARGETS = { key: 33, tag: 30, scope: 12, name: 10, 'tag and name': 9, everything: 6 };
/** All processes are asked the same at once. */
const BURST = 0.06;
const BATCH = 0.25;

export class Load {
  #weights;

  constructor(random) {
    this.random = random;
    this.#weights = Object.fromEntries(random.shuffled([...QUESTIONS.keys()]).map((index, rank) => [index, (rank + 1) ** -ZIPF_EXPONENT]));
  }

  /** The next calls: each a worker, or all of them, and what it is asked. */
  next(workers) {
    const { random } = this;
    const question = QUESTIONS[random.weighted(this.#weights)];
    if (random.isSo(BURST)) return [...workers, ...workers].map((worker) => Object.assign(this.#plain(question), { worker }));
    return [{ worker: random.one(workers), ...this.#ask(question) }];
  }

  #plain(question) {
    return { questions: [question], way: this.random.one(question.ways.filter((way) => way !== 'batch')), control: {} };
  }

  #ask(question) {
    const { random } = this;
    const kind = random.weighted(CONTROLS);
    const control = kind === 'plain' || kind === 'abort' ? {} : { [kind]: kind === 'maxAge' ? 500 : true };
    const abortAfterMs = kind === 'abort' ? Math.floor(random.between(0, 150)) : undefined;
    if (!question.ways.includes('batch') || !random.isSo(BATCH)) return { ...this.#plain(question), control, abortAfterMs };
    const siblings = QUESTIONS.filter((each) => each.kind === question.kind && each.scope === question.scope);
    return { questions: [...random.shuffled(siblings), question], way: 'batch', control, abortAfterMs };
  }

  target() {
    const { random } = this;
    const kind = random.weighted(TARGETS);
    const question = random.one(QUESTIONS.filter((each) => kind !== 'key' || each.kind !== 'nested'));
    const [tag, name] = [random.one(question.tags), question.names[0]];
    if (kind === 'everything') return 'everything';
    if (kind === 'key') return { key: question.upstream, keyScope: question.scope };
    if (kind === 'scope') return { scope: question.scope ?? 'red' };
    return { ...(kind === 'name' ? {} : { tags: [tag] }), ...(kind === 'tag' ? {} : { name }) };
  }
}
