import { systemClock, type Clock } from '../core/clock.js';
import { LlmCacheConfigError } from '../core/errors.js';
import { PARTS_OF, type PartsOf } from '../core/parts-of.js';
import { isThenable } from '../core/thenable.js';
import type { CallOptions, InvalidationTarget, KeyParts, WrapCall } from '../core/types.js';
import { differences, type KeyDifference } from '../key/explain.js';
import { keyOf, keyPrefix, type KeyDocument } from '../key/key.js';
import { EventSource, type LlmCacheListener } from '../observability/events.js';
import { Ledger, type LedgerTotals } from '../observability/ledger.js';
import { SingleFlight } from '../policy/single-flight.js';
import { GroupVersions } from '../stores/group-versions.js';
import { Tier, type TierStats } from '../stores/tier.js';
import { Tiers } from '../stores/tiers.js';
import { RetryThrottle } from '../policy/retry-throttle.js';
import { resultOf, type OpenReader } from '../streaming/results.js';
import { Answering } from './answering.js';
import { Asking } from './asking.js';
import { CallSteps } from './call-steps.js';
import { callerOf, resolveCall, type Caller } from './call.js';
import { settingsOf, type EngineOptions, type Settings } from './engine-options.js';
import { EntryReader } from './entry-reader.js';
import { EntryWriter } from './entry-writer.js';
import { inChunks, noFunction, wrappedQuestion, type Question } from './question.js';
import { checkOwnKey, groupsToBump, Invalidation } from './invalidation.js';
import { Outcomes } from './outcomes.js';
import { StaleAnswers } from './stale-answers.js';
import { startUpAdvice } from './start-up-advice.js';
import { Streams } from './streams.js';
import { tierListener } from './tier-listener.js';
import { Turns } from './turns.js';
import { UpstreamCalls } from './upstream-calls.js';
import { Upstream } from './upstream.js';
import type { Landing, Passenger } from './landing.js';
import { WorkUnderWay } from './work-under-way.js';

/** Counts since start, and how full each tier is. */
export interface LlmCacheStats extends LedgerTotals {
  /** One for each store, fastest first. */
  tiers: TierStats[];
}

/**
 * Answers LLM calls from a store where it can, and makes one upstream call per question where it cannot.
 * The imperative twin of `@CacheLlm`: whatever the decorator does goes through {@link LlmCache.wrap}.
 *
 * @publicApi
 */
export class LlmCache {
  private readonly settings: Settings;
  private readonly clock: Clock;
  private readonly events = new EventSource();
  private readonly ledger = new Ledger();
  private readonly tiers: Tiers;
  private readonly outcomes: Outcomes;
  private readonly asking: Asking;
  private readonly turns: Turns;
  private readonly streams: Streams;
  private readonly answering: Answering;
  private readonly work: WorkUnderWay;
  /** @internal For batches. */
  readonly steps: CallSteps;
  private readonly invalidation: Invalidation;

  /**
   * @param providerId The LlmProvider that what is cached here may call; joins every key.
   * @throws LlmCacheConfigError naming the first wrong or unknown option.
   */
  constructor(options: EngineOptions = {}, clock: Clock = systemClock, providerId?: string) {
    const settings = settingsOf(options, providerId);
    const { events, ledger } = this;
    this.settings = settings;
    this.clock = clock;
    const listener = tierListener(events);
    this.tiers = new Tiers(settings.stores.map((store, index) => new Tier(store, index, settings, listener, () => clock.monotonic())));
    const versions = GroupVersions.of(this.tiers.last, clock, settings.maxInvalidationDelayMs);
    const reader = new EntryReader(settings.format, this.tiers, versions, clock, ledger, events, settings.maxInvalidationDelayMs);
    this.outcomes = new Outcomes(ledger, events, clock, settings.warnOnChangedBody);
    this.asking = new Asking(settings, clock, this.outcomes);
    const writer = new EntryWriter(settings, this.tiers, clock, events);
    const throttle = new RetryThrottle(clock);
    const flights = new SingleFlight<Landing, Passenger>();
    this.turns = new Turns(settings, clock, reader, this.tiers.last);
    const calls = new UpstreamCalls(flights, settings, clock, ledger, versions, writer, throttle, this.turns);
    this.work = new WorkUnderWay(() => this.tiers.close(settings.storeTimeoutMs));
    const upstream = new Upstream(flights, settings, clock, versions, calls, this.outcomes, this.work.track);
    this.streams = new Streams(settings, clock, upstream, this.outcomes);
    const stale = new StaleAnswers(clock, reader, this.outcomes, throttle, upstream, this.streams, this.work.track);
    this.answering = new Answering(clock, reader, this.outcomes, stale, upstream, this.streams, this.work.track);
    this.steps = new CallSteps(clock, this.asking, this.tiers, reader, this.outcomes, upstream, versions, this.answering.start, this.work.track);
    this.invalidation = new Invalidation(settings, this.tiers, versions, upstream);
  }

  /**
   * The stored answer to a question, or the one `produce` computes, which is stored if it is good. Equal calls made
   * at the same time share one `produce`, and its error. Whatever `produce` throws is rethrown unchanged, and nothing
   * about the cache makes a call fail that would succeed without it.
   *
   * @param key What the answer depends on.
   * @param produce Computes the answer, of what {@link WrapCall} hands it.
   * @throws LlmCacheMissError with `onlyIfCached` and no stored answer; `signal.reason` when the caller aborted.
   *
   * @example
   * const answer = await llmCache.wrap({ name: 'glossary', input: { term } }, () => this.client.explain(term));
   */
  wrap<T>(key: KeyParts, produce: (call: WrapCall) => Promise<T> | T, options: CallOptions = {}): Promise<T> {
    if (typeof produce !== 'function') return Promise.reject(noFunction());
    return this.run(wrappedQuestion(key, produce), callerOf(options)) as Promise<T>;
  }

  /**
   * The stream of chunks that answers a question: replayed where it is stored, joined from its first chunk where it runs
   * already, and produced where neither. Nothing starts before it is read. It is stored when it has come to its own
   * normal end and adds up to a good answer.
   *
   * @param key What the answer depends on.
   * @param produce Makes the stream: an AsyncIterable, an Observable or a ReadableStream, or a promise of one. Its signal
   * aborts when nobody reads any more.
   * @throws on reading: LlmCacheMissError with `onlyIfCached` and no stored answer; StreamLagError for a reader that falls
   * more than `maxEntryBytes` behind; `signal.reason` when the caller aborted; whatever the stream throws, unchanged.
   *
   * @example
   * for await (const word of llmCache.wrapStream({ name: 'glossary', input: { term } }, ({ signal }) => client.explain(term, signal))) send(word);
   */
  wrapStream<T>(key: KeyParts, produce: (call: WrapCall) => AsyncIterable<T>, options: CallOptions = {}): AsyncIterable<T> {
    return this.streamOf(wrappedQuestion({ ...key, stream: true }, produce), callerOf(options)) as AsyncIterable<T>;
  }

  /** @internal The whole life of a question: looked through, looked up, answered, and the caller's own values put back. */
  run<Given>(question: Question<Given>, caller: Caller): Promise<unknown> {
    const asked = this.asking.askLater(question, caller, this.clock.monotonic());
    return Promise.resolve(isThenable(asked) ? asked.then(this.answering.answer) : this.answering.answer(asked));
  }

  /** @internal */
  streamOf<Given>(question: Question<Given>, caller: Caller): AsyncIterable<unknown> {
    return resultOf('asyncIterable', this.openerOf(question, caller)) as AsyncIterable<unknown>;
  }

  /** @internal A streamed call: what it is is resolved now, it starts when it is read. */
  openerOf<Given>(question: Question<Given>, caller: Caller): OpenReader {
    const asked = this.asking.askLater(inChunks(question), caller, 0);
    return (left) => (isThenable(asked) ? asked.then((late) => this.answering.read(late, left)) : this.answering.read(asked, left));
  }

  /** @internal Like {@link run}, for a method that may not return a promise at all: it is run at once to see. */
  probe<Given>(question: Question<Given>, caller: Caller): ReturnType<Upstream['probe']> {
    const asked = this.asking.askLater(question, caller, this.clock.monotonic());
    return isThenable(asked) ? { answer: asked.then(this.answering.answer) } : this.answering.probe(asked);
  }

  /** @internal */
  checkPii(pii: CallOptions['pii']): void {
    this.asking.check(pii);
  }

  /** @internal */
  get isClosed(): boolean {
    return this.work.isClosed;
  }

  /** @internal */
  warnOnce(message: string): void {
    this.events.warnOnce(message);
  }

  /** @internal Whether every store answers one cheap read, for a health check; one that is being left alone is not asked. */
  async checkStores(): Promise<boolean> {
    return this.settings.mode === 'off' || this.tiers.check(keyPrefix(this.settings.namespace, this.settings.secret));
  }

  /** @internal What whoever runs the app should change, to be told when it starts. */
  advice(): string[] {
    return startUpAdvice(this.settings, this.tiers);
  }

  /** @internal A call that ran beside the cache, such as one that returns a stream. */
  note(name: string, reason: string): void {
    const now = this.clock.monotonic();
    this.outcomes.bypass(resolveCall(this.settings, { name, input: undefined }, {}, { bypass: reason }, now), reason);
  }

  /**
   * The key of a call, for logs and for `invalidate({ key })`. It shows no content.
   * @throws UncacheableInputError, naming the path, where `wrap` would bypass; ScopeRequiredError without a required scope.
   */
  keyFor(key: KeyParts, options: CallOptions = {}): string {
    return keyOf(this.asking.documentNow(key, options), this.settings.secret);
  }

  /** {@link keyFor} where a redactor may take its time. */
  async keyForAsync(key: KeyParts, options: CallOptions = {}): Promise<string> {
    return keyOf(await this.asking.documentOf(key, options), this.settings.secret);
  }

  /**
   * The parts a decorated call has, to explain or invalidate it.
   * @throws LlmCacheConfigError when the method has no `@CacheLlm()`; whatever a function of its options throws.
   *
   * @example
   * await llmCache.invalidate({ key: llmCache.partsOf(tickets, 'summary', [ticket]) });
   */
  partsOf(instance: object, method: string | symbol, args: unknown[]): KeyParts {
    const parts = (instance as { [PARTS_OF]?: PartsOf })[PARTS_OF]?.(method, args);
    if (parts !== undefined) return parts;
    throw new LlmCacheConfigError(`LlmCache.partsOf: ${instance.constructor.name}.${String(method)} has no @CacheLlm().`);
  }

  /**
   * Why two calls do not share an entry: paths and kinds, no content. An empty list means that they do.
   * @throws UncacheableInputError or ScopeRequiredError, like {@link keyFor}.
   */
  explain(a: KeyParts, b: KeyParts): KeyDifference[] {
    const documents = [a, b].map((parts) => this.asking.documentNow(parts, {})) as [KeyDocument, KeyDocument];
    documents.forEach((document) => keyOf(document)); // refuses what has no key, by its path
    return differences(...documents);
  }

  /**
   * Removes entries; see {@link InvalidationTarget}. Whoever asks after it returns gets nothing computed before it,
   * not even from a call still under way; whoever asked before still gets an answer, which is not stored.
   * @throws LlmCacheConfigError for an empty or unknown target; LlmCacheInvalidationError when a store did not confirm.
   */
  async invalidate(target: InvalidationTarget): Promise<void> {
    const groups = groupsToBump(this.settings, target);
    const key = target.key === undefined || typeof target.key === 'string' ? target.key : await this.keyForAsync(target.key);
    if (key !== undefined) checkOwnKey(this.settings, key);
    await this.invalidation.remove(groups, key);
  }

  /** Removes every entry of this namespace, in constant time: a version is bumped, and old entries no longer match it. */
  async clear(): Promise<void> {
    await this.invalidation.remove(groupsToBump(this.settings, 'everything'));
  }

  /** Counts since start; like `functools.lru_cache`'s `cache_info()`, and what was spent and saved. */
  stats(): LlmCacheStats {
    return { ...this.ledger.snapshot(), tiers: this.tiers.all.map((tier) => tier.stats()) };
  }

  /**
   * Content-free events.
   * @param wantsCalls Asked before the event of a single call is made; say no to be spared them. @default always
   * @returns a function that removes the listener.
   */
  on(listener: LlmCacheListener, wantsCalls?: () => boolean): () => void {
    return this.events.on(listener, wantsCalls);
  }

  /** Writes what is under way, within `storeTimeout`, and closes the stores this package made. Calls after it run uncached. */
  async close(): Promise<void> {
    this.invalidation.stop();
    this.settings.mode = 'off';
    this.streams.close();
    this.turns.close();
    await this.work.close();
  }
}
