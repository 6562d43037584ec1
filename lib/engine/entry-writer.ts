import type { Clock } from '../core/clock.js';
import type { LlmCacheStoreError } from '../core/errors.js';
import type { EventSource } from '../observability/events.js';
import type { RefusalReason } from '../policy/gate.js';
import { expiryOf, remainingMs } from '../policy/lifetime.js';
import { keptForMs } from '../policy/staleness.js';
import { Refusal } from '../key/canonical-form.js';
import { joinChunks } from '../streaming/chunk-codec.js';
import { Recording } from '../streaming/recording.js';
import type { Tiers } from '../stores/tiers.js';
import { encodeValue } from '../stores/value-codec.js';
import { controlTtlMs, type Call } from './call.js';
import type { CallFrame } from './call-frame.js';
import type { Settings } from './engine-options.js';
import type { Landing } from './landing.js';
import type { Lease } from './lease.js';
import type { Permit } from './permit.js';

/** Turns an answer into an entry and hands it to the stores. A failure is a reason, never an exception. */
export class EntryWriter {
  constructor(
    private readonly settings: Settings,
    private readonly tiers: Tiers,
    private readonly clock: Clock,
    private readonly events: EventSource,
  ) {}

  private tooLarge({ name }: Call): RefusalReason {
    const { maxEntryBytes } = this.settings;
    this.events.warnOnce(`${name}: an answer is larger than maxEntryBytes (${maxEntryBytes}), so it is served but not stored.`);
    return 'too-large';
  }

  /** The answer as text; `undefined` when it would not come back as it went in. Says so once. */
  encode(call: Call, value: unknown): string | undefined {
    if (value instanceof Recording) return value.texts && joinChunks(value.texts);
    try {
      return encodeValue(value, { flatten: call.revive !== undefined });
    } catch (error) {
      const problem = error instanceof Refusal ? error.problem : 'something that throws when it is read';
      this.events.warnOnce(
        `${call.name}: the answer holds ${problem}, so it is served but not stored. ` +
          'Return plain data, or give @CacheLlm a `revive` function.',
      );
      return undefined;
    }
  }

  /** Says once why a stream could not be kept whole. */
  warnOfPartial(call: Call, { unwritable }: Recording): void {
    if (unwritable === undefined) return void this.tooLarge(call);
    this.events.warnOnce(
      `${call.name}: a chunk holds ${unwritable}, so the stream is served but not stored. ` +
        'Yield plain data, or give @CacheLlm a `revive` function.',
    );
  }

  /**
   * Removes the stored answers that a call used and then failed over, or was refused for: it would fail over the same
   * ones each time it is tried again. One that came fresh from upstream stays, for the failure may be the call's own.
   */
  async disown(frame: CallFrame): Promise<void> {
    if (frame.signal.aborted) return;
    await Promise.all([...frame.storedKeys].map((key) => this.disownOne(key)));
  }

  private async disownOne(key: string): Promise<void> {
    const failures = await this.tiers.remove(key);
    if (failures.length === 0) this.tiers.confirmRemoval(key);
  }

  /** Why the answer was not stored; `undefined` when it was. Nothing waits before the tiers know of the entry. */
  async store(call: Call, payload: string, answer: Omit<Landing, 'stored' | 'refused' | 'payload' | 'value'>, lease?: Lease | Permit): Promise<RefusalReason | undefined> {
    if (this.settings.mode === 'off') return 'no-store'; // closed while the call ran
    if (Buffer.byteLength(payload) > this.settings.maxEntryBytes) return this.tooLarge(call);
    const nowMs = this.clock.now();
    const { versions, latencyMs, usage, model, finishReason } = answer;
    const createdAtMs = nowMs - answer.ageMs;
    const expiresAtMs = expiryOf({ ttlMs: controlTtlMs(this.settings, call.control), jitter: this.settings.jitter }, createdAtMs);
    const ttlMs = remainingMs(expiresAtMs, nowMs);
    if (ttlMs === 0) return 'too-old';
    const key = call.key!;
    const envelope = { key, createdAtMs, expiresAtMs, versions, latencyMs, usage, model, finishReason, body: call.body, payload };
    const text = this.settings.format.seal(envelope, call.scope);
    try {
      await this.tiers.write(key, text, ttlMs === undefined ? undefined : ttlMs + keptForMs(call.staleness), lease);
      lease?.committed();
      return undefined;
    } catch (error) {
      return (error as LlmCacheStoreError).kind === 'fenced' ? 'lease-lost' : 'store-failed'; // the tier has told its listener why
    }
  }
}
