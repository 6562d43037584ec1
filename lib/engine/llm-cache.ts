import { systemClock, type Clock } from '../core/clock.js';
import { LlmCacheConfigError, LlmCacheInvalidationError, LlmCacheMissError } from '../core/errors.js';
import { PARTS_OF, type PartsOf } from '../core/parts-of.js';
import type { CallOptions, InvalidationTarget, KeyParts, UpstreamCall } from '../core/types.js';
import { differences, type KeyDifference } from '../key/explain.js';
import { keyOf, type KeyDocument } from '../key/key.js';
import { EventSource, type LlmCacheListener } from '../observability/events.js';
import { Ledger, type LedgerTotals } from '../observability/ledger.js';
import { mergeCacheControl } from '../policy/cache-control.js';
import { GroupVersions } from '../stores/group-versions.js';
import { Tier, type TierStats } from '../stores/tier.js';
import { Tiers } from '../stores/tiers.js';
import type { ChunkReader } from '../streaming/chunk-reader.js';
import { resultOf, type OpenReader } from '../streaming/results.js';
import { ambient } from './ambient.js';
import { CallSteps } from './call-steps.js';
import { documentOf, resolveCall, untilLeft, type Call, type Caller, type MethodDefaults } from './call.js';
import { settingsOf, type EngineOptions, type Settings } from './engine-options.js';
import { EntryReader, type Found } from './entry-reader.js';
import { EntryWriter } from './entry-writer.js';
import { checkOwnKey, groupsToBump } from './invalidation.js';
import { Outcomes } from './outcomes.js';
import { startUpAdvice } from './start-up-advice.js';
import { tierListener } from './tier-listener.js';
import { untilAborted } from './until-aborted.js';
import { Streams } from './streams.js';
import { Upstream, type Produce } from './upstream.js';

/** The options of a call in two parts. Options that cannot be read make the call bypass the cache. */
function callerOf(options: CallOptions): [Caller, MethodDefaults] {
  try {
    const { signal, cacheable, ...control } = options;
    return [{ signal, cacheable, control }, {}];
  } catch {
    return [{}, { bypass: 'its options cannot be read' }];
  }
}

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
  private readonly versions: GroupVersions;
  private readonly reader: EntryReader;
  private readonly outcomes: Outcomes;
  private readonly upstream: Upstream;
  private readonly streams: Streams;
  /** @internal For batches. */
  readonly steps: CallSteps;
  private readonly stopListening: () => void;
  private closed = false;
  private running = 0;

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
    this.tiers = new Tiers(settings.stores.map((store, index) => new Tier(store, index, settings.storeTimeoutMs, listener)));
    this.versions = GroupVersions.of(this.tiers.last, clock);
    this.reader = new EntryReader(settings.format, this.tiers, this.versions, clock, ledger, events);
    this.outcomes = new Outcomes(ledger, events, clock, settings.warnOnChangedBody);
    const writer = new EntryWriter(settings, this.tiers, clock, events);
    this.upstream = new Upstream(settings, clock, ledger, this.versions, writer, this.outcomes);
    this.streams = new Streams(settings, clock, this.upstream, this.outcomes);
    this.steps = new CallSteps(settings, clock, this.tiers, this.reader, this.outcomes, this.upstream, this.versions, this.start.bind(this), this.tracked.bind(this), callerOf);
    this.stopListening = this.versions.onKeyRemoved((key) => {
      this.upstream.fence([], key);
      this.tiers.forget(key);
    });
  }

  /**
   * The stored answer to a question, or the one `produce` computes, which is stored if it is good. Equal calls made
   * at the same time share one `produce`, and its error. Whatever `produce` throws is rethrown unchanged, and nothing
   * about the cache makes a call fail that would succeed without it.
   *
   * @param key What the answer depends on.
   * @param produce Computes the answer. Its signal aborts when no caller wants the answer any more.
   * @throws LlmCacheMissError with `onlyIfCached` and no stored answer; `signal.reason` when the caller aborted.
   *
   * @example
   * const answer = await llmCache.wrap({ name: 'glossary', input: { term } }, () => this.client.explain(term));
   */
  wrap<T>(key: KeyParts, produce: (call: UpstreamCall) => Promise<T> | T, options: CallOptions = {}): Promise<T> {
    return this.run(key, produce, ...callerOf(options)) as Promise<T>;
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
  wrapStream<T>(key: KeyParts, produce: (call: UpstreamCall) => AsyncIterable<T>, options: CallOptions = {}): AsyncIterable<T> {
    return this.streamOf({ ...key, stream: true }, produce, options) as AsyncIterable<T>;
  }

  /** @internal */
  run(parts: KeyParts, produce: Produce, caller: Caller, defaults: MethodDefaults): Promise<unknown> {
    if (typeof produce !== 'function') {
      return Promise.reject(new LlmCacheConfigError('LlmCache.wrap: the second argument must be the function that computes the answer.'));
    }
    const started = this.start(resolveCall(this.settings, parts, caller, defaults, this.clock.monotonic()), produce);
    return started instanceof Promise ? started : Promise.resolve(started);
  }

  /** @internal {@link wrapStream} for parts that say themselves whether they are a stream's alone. */
  streamOf(parts: KeyParts, produce: Produce, options: CallOptions): AsyncIterable<unknown> {
    return resultOf('asyncIterable', this.openerOf(parts, produce, ...callerOf(options))) as AsyncIterable<unknown>;
  }

  /** @internal A streamed call: what it is is resolved now, it starts when it is read. */
  openerOf(parts: KeyParts, produce: Produce, caller: Caller, defaults: MethodDefaults): OpenReader {
    const call = resolveCall(this.settings, parts, caller, { ...defaults, chunks: true }, 0);
    return (left) => this.start({ ...call, startedAtMs: this.clock.monotonic(), left }, produce) as ChunkReader | Promise<ChunkReader>;
  }

  /** The life of a call: look up, then serve or call upstream. A streamed one comes to a reader of its chunks. */
  private start(call: Call, produce: Produce): unknown {
    if (call.signal?.aborted) return this.outcomes.aborted(call);
    if (call.key === undefined) return (call.chunks ? this.streams : this.upstream).alone(call, produce, call.bypassReason!);
    const found = call.control.noCache ? undefined : this.reader.find(call);
    if (!(found instanceof Promise)) return this.serve(call, found, produce);
    const waiting = untilLeft(call);
    return this.tracked(untilAborted(waiting.signal, found).then((late) => this.serve(waiting, late, produce)));
  }

  private serve(call: Call, found: Found | undefined, produce: Produce): unknown {
    if (call.signal?.aborted) return this.outcomes.aborted(call); // while a store was read
    if (found !== undefined) {
      this.outcomes.hit(call, found);
      return found.value;
    }
    if (call.control.onlyIfCached) return this.outcomes.refuseMiss(call, new LlmCacheMissError(call.name));
    return this.tracked((call.chunks ? this.streams : this.upstream).share(untilLeft(call), produce));
  }

  /** A call that goes on after `close` may open a store of ours again; the last one closes it. */
  private tracked<T>(work: Promise<T>): Promise<T> {
    this.running++;
    return work.finally(() => {
      if (--this.running === 0 && this.closed) void this.tiers.close(this.settings.storeTimeoutMs);
    });
  }

  /** @internal Like {@link run}, for a method that may not return a promise at all: it is run at once to see. */
  probe(parts: KeyParts, produce: Produce, caller: Caller, defaults: MethodDefaults): ReturnType<Upstream['probe']> {
    const call = resolveCall(this.settings, parts, caller, defaults, this.clock.monotonic());
    if (call.signal?.aborted) return { answer: this.outcomes.aborted(call) };
    return this.upstream.probe(call, produce);
  }

  /** @internal */
  get isClosed(): boolean {
    return this.closed;
  }

  /** @internal */
  warnOnce(message: string): void {
    this.events.warnOnce(message);
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
    return keyOf(documentOf(this.settings, key, mergeCacheControl(ambient().control, options)), this.settings.secret);
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
    const control = ambient().control ?? {};
    const documents = [a, b].map((parts) => documentOf(this.settings, parts, control)) as [KeyDocument, KeyDocument];
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
    const key = target.key === undefined || typeof target.key === 'string' ? target.key : this.keyFor(target.key);
    if (key !== undefined) checkOwnKey(this.settings, key);
    await this.remove(groups, key);
  }

  /** Removes every entry of this namespace, in constant time: a version is bumped, and old entries no longer match it. */
  async clear(): Promise<void> {
    await this.remove(groupsToBump(this.settings, 'everything'), undefined);
  }

  private async remove(groups: readonly string[], key: string | undefined): Promise<void> {
    this.upstream.fence(groups, undefined);
    if (key !== undefined) this.versions.announceRemoved(key);
    const bumped = this.versions.bump(groups).then(
      () => [],
      (error: unknown) => [{ tier: this.tiers.last.name, error }],
    );
    const removed = key === undefined ? [] : await this.tiers.remove(key);
    const failures = [...(await bumped), ...removed];
    if (failures.length > 0) throw new LlmCacheInvalidationError(failures.map(({ tier }) => tier), { cause: failures[0]!.error });
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
    this.closed = true;
    this.stopListening();
    this.settings.mode = 'off';
    this.streams.close();
    await this.tiers.close(this.settings.storeTimeoutMs);
  }
}
