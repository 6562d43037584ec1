import fastq from 'fastq';
import type { queueAsPromised } from 'fastq';
import type { Clock } from '../../core/clock.js';
import type { CacheOutcome } from '../../core/types.js';
import type { Call } from '../../engine/call.js';
import type { Produce } from '../../engine/upstream-calls.js';
import type { RefusalReason } from '../../policy/gate.js';
import type { ChatRequest, ChatResponse } from '../chat.js';
import type { Answer } from './asked-requests.js';
import { Pace } from './pace.js';
import { rateLimitOf } from './rate-limit-error.js';
import { TokenEstimate } from './token-estimate.js';

/** A request to be sent, unless it is answered in the meantime. */
export interface Outgoing {
  readonly request: ChatRequest;
  readonly call: Call;
  readonly produce: Produce;
  /** How it ended, once it has. */
  outcome: CacheOutcome | undefined;
  /** Ends when the stale answer it was given has been renewed, or could not be. */
  renewal?: Promise<unknown> | undefined;
}

interface Job {
  readonly outgoing: Outgoing;
  readonly resolve: (answer: Answer) => void;
}

export interface SenderOptions {
  readonly concurrency: number;
  readonly requestsPerMinute: number | undefined;
  readonly tokensPerMinute: number | undefined;
  readonly retryForMs: number;
}

/** Sends requests, some at a time, each when its turn has come, and again while the provider says that it came too soon. */
export class Sender {
  private readonly queue: queueAsPromised<Job, void>;
  private readonly pace: Pace;
  private readonly estimate: TokenEstimate | undefined;
  private readonly retryForMs: number;
  /** The provider wants no request for longer than is waited: until then none is sent, and each fails with its error. */
  private refusal: { error: unknown; untilMs: number } | undefined;

  constructor(
    private readonly clock: Clock,
    /** The whole life of a resolved call. */
    private readonly answer: (call: Call, produce: Produce) => unknown,
    private readonly signal: AbortSignal,
    { concurrency, retryForMs, ...limits }: SenderOptions,
  ) {
    this.queue = fastq.promise((job: Job) => this.take(job), concurrency);
    this.pace = new Pace(clock, limits);
    this.estimate = limits.tokensPerMinute === undefined ? undefined : new TokenEstimate();
    this.retryForMs = retryForMs;
  }

  /** Never rejects: a failure is an answer too. */
  send(outgoing: Outgoing): Promise<Answer> {
    return new Promise((resolve) => {
      this.queue.push({ outgoing, resolve }).catch((error: unknown) => resolve({ error }));
    });
  }

  /** A stale answer is there before what renews it: that is one of those upstream until it ends. */
  private async take({ outgoing, resolve }: Job): Promise<void> {
    resolve(await this.untilAccepted(outgoing));
    await outgoing.renewal;
  }

  private async untilAccepted(outgoing: Outgoing): Promise<Answer> {
    let giveUpAtMs: number | undefined;
    for (;;) {
      if (this.refusal !== undefined && this.clock.monotonic() < this.refusal.untilMs) return { error: this.refusal.error };
      try {
        return await this.once(outgoing);
      } catch (error) {
        const limit = this.signal.aborted ? undefined : rateLimitOf(error, this.clock.now());
        if (limit === undefined) return { error };
        giveUpAtMs ??= this.clock.monotonic() + this.retryForMs;
        if (this.pace.hold(limit.retryAfterMs, giveUpAtMs)) continue;
        if (limit.retryAfterMs !== undefined) this.refusal = { error, untilMs: this.clock.monotonic() + limit.retryAfterMs };
        return { error };
      }
    }
  }

  /** The caller has a stale answer instead; the others had better wait. */
  private slowDown(error: unknown): void {
    const limit = rateLimitOf(error, this.clock.now());
    if (limit !== undefined) this.pace.hold(limit.retryAfterMs, this.clock.monotonic() + this.retryForMs);
  }

  private async once(outgoing: Outgoing): Promise<Answer> {
    const permit = await this.pace.permit(() => this.estimate?.of(outgoing.request) ?? 0, this.signal);
    let sentAtMs: number | undefined;
    let sent: Promise<unknown> | undefined;
    const counted: Produce = (upstream) => {
      sentAtMs = this.clock.monotonic();
      return (sent = Promise.resolve(outgoing.produce(upstream)));
    };
    try {
      const response = (await this.answer(outgoing.call, counted)) as ChatResponse;
      const { status, reason, usage }: Partial<CacheOutcome> = outgoing.outcome ?? {};
      const isStale = status === 'stale';
      if (isStale) outgoing.renewal = sent?.then(() => this.pace.resume(), (error: unknown) => this.slowDown(error));
      else this.pace.resume();
      if (usage !== undefined) this.estimate?.learn(usage.outputTokens);
      const latencyMs = sentAtMs === undefined ? 0 : this.clock.monotonic() - sentAtMs;
      return { response, refused: isStale ? undefined : (reason as RefusalReason | undefined), usage, latencyMs, isStale };
    } finally {
      permit.settle(sentAtMs === undefined ? undefined : { tokens: outgoing.outcome?.usage?.totalTokens });
    }
  }
}
