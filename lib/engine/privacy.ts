import type { Clock } from '../core/clock.js';
import { durationMs } from '../core/duration.js';
import { PiiRedactionError } from '../core/errors.js';
import type { PiiContext, PiiMode, PiiOptions, PiiRedactor, Redaction } from '../core/pii.js';
import { isThenable } from '../core/thenable.js';
import type { RefusalReason } from '../policy/gate.js';
import { builtInDetector } from '../redaction/detectors/built-in-detectors.js';
import { DetectingRedactor } from '../redaction/detecting-redactor.js';
import { HookRedactor } from '../redaction/hook-redactor.js';
import { checkPiiOptions } from '../redaction/pii-options.js';
import { RedactionFault } from '../redaction/redaction-fault.js';

const DEFAULT_TIMEOUT = '5s';

/** An answer as everybody may have it. */
export interface Examined {
  readonly value: unknown;
  readonly refused: RefusalReason | undefined;
}

/** What is done about personal data in a call: its options, resolved. */
export class Privacy {
  readonly mode: PiiMode;
  /** Joins the key: what another redactor, version or mode let through is not found. */
  readonly label: string;
  private readonly redactor: PiiRedactor;
  private readonly onAnswer: 'skip' | 'redact' | 'store';
  private readonly timeoutMs: number;

  constructor(
    options: PiiOptions,
    private readonly clock: Clock,
  ) {
    const { redactor, entities, detectors = [], onResponsePii = 'skip', timeout = DEFAULT_TIMEOUT } = options;
    this.mode = options.mode ?? (typeof redactor === 'function' ? 'redact-stored' : 'bypass');
    if (typeof redactor === 'function') this.redactor = new HookRedactor(redactor);
    else this.redactor = redactor ?? new DetectingRedactor([builtInDetector(entities), ...detectors]);
    this.onAnswer = this.mode === 'redact' ? 'store' : this.mode === 'redact-stored' ? 'redact' : onResponsePii;
    this.timeoutMs = durationMs(timeout)!;
    this.label = JSON.stringify([this.mode, this.onAnswer, this.redactor.id, this.redactor.version]);
  }

  /** Whether the model must not see what is found. */
  get guardsTheModel(): boolean {
    return this.mode === 'redact' || this.mode === 'pseudonymize';
  }

  /** @throws PiiRedactionError, also as a rejection. Its words are its own: what a redactor throws may hold the text. */
  redact<T>(value: T, direction: PiiContext['direction'], reserved?: ReadonlySet<string>): Redaction<T> | Promise<Redaction<T>> {
    const controller = new AbortController();
    const reversible = this.mode === 'pseudonymize' && direction === 'request';
    try {
      const redacted = this.redactor.redact(value, { path: [], direction, signal: controller.signal, reversible, reserved });
      return isThenable(redacted) ? this.inTime(redacted, value, controller) : this.checked(redacted, value);
    } catch (error) {
      throw this.failure(error);
    }
  }

  /** An answer as it may be stored. Never rejects: one that cannot be examined is not stored. */
  async examine(answer: unknown, isStream: boolean, question: Redaction<unknown> | undefined): Promise<Examined> {
    try {
      if (question?.resolves?.(answer) === false) return { value: answer, refused: 'pii' };
      if (this.onAnswer === 'store') return { value: answer, refused: undefined };
      const { value, found } = await this.redact(answer, 'response', question?.placeholders);
      if (found.length === 0) return { value: answer, refused: undefined };
      return this.onAnswer === 'redact' && !isStream ? { value, refused: undefined } : { value: answer, refused: 'pii' };
    } catch {
      return { value: answer, refused: 'pii-error' };
    }
  }

  /** @param given What was to be redacted: whoever gives something else of another kind has not redacted it. */
  private checked<T>(redaction: Redaction<T>, given: T): Redaction<T> {
    const isRedaction = typeof redaction === 'object' && redaction !== null && Array.isArray(redaction.found) && kindOf(redaction.value) === kindOf(given);
    const isWayBack = this.mode !== 'pseudonymize' || (['rehydrate', 'rehydrateStream'] as const).every((way) => typeof redaction?.[way] === 'function');
    if (isRedaction && isWayBack) return redaction;
    throw new RedactionFault('the redactor gave no redaction');
  }

  private inTime<T>(redacting: PromiseLike<Redaction<T>>, given: T, controller: AbortController): Promise<Redaction<T>> {
    return new Promise((resolve, reject) => {
      const cancel = this.clock.after(this.timeoutMs, () => {
        controller.abort(new DOMException('too late', 'TimeoutError'));
        reject(new PiiRedactionError(this.redactor.id, `took longer than pii.timeout (${this.timeoutMs} ms)`));
      });
      Promise.resolve(redacting)
        .finally(cancel)
        .then((redaction) => this.checked(redaction, given))
        .then(resolve, (error: unknown) => reject(this.failure(error)));
    });
  }

  private failure(error: unknown): PiiRedactionError {
    return PiiRedactionError.isInstance(error) ? error : new PiiRedactionError(this.redactor.id, this.problemOf(error));
  }

  /** What went wrong, in words that hold nothing of the text. */
  private problemOf(error: unknown): string {
    if (error instanceof RedactionFault) return `failed: ${error.message}`;
    try {
      const { name, code } = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
      const kind = typeof name === 'string' && /^(?:[A-Z][A-Za-z]{0,30})?(?:Error|Exception)$/.test(name) ? name : 'something';
      return `threw ${kind}${typeof code === 'string' && /^[A-Z_]{2,40}$/.test(code) ? ` (${code})` : ''}`;
    } catch {
      return 'threw something';
    }
  }
}

const kindOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'list' : typeof value);

type Given = PiiOptions | false | undefined;

/** The privacy of calls: the module's options, a method's over them, and the call's own over both. `false` is none. */
export class Privacies {
  /** By the options they were made from, which apps do not make anew for each call. */
  private readonly made = new WeakMap<object, WeakMap<object, Privacy>>();

  constructor(
    private readonly module: Given,
    private readonly clock: Clock,
  ) {}

  /** @throws LlmCacheConfigError for options that do not go together. */
  of(method?: Given, call?: Given): Privacy | undefined {
    const merged = [this.module, method, call].findLast((given) => given !== undefined);
    if (merged === undefined || merged === false) return undefined;
    const [first, second] = [method || NONE, call || NONE];
    const known = this.made.get(first)?.get(second);
    if (known !== undefined && isKnownFor(method, call)) return known;
    const options = merge([this.module, method, call]);
    checkPiiOptions('LlmCache', options);
    const privacy = new Privacy(options, this.clock);
    if (isKnownFor(method, call)) this.made.set(first, (this.made.get(first) ?? new WeakMap<object, Privacy>()).set(second, privacy));
    return privacy;
  }
}

const NONE = {};

/** `false` in the middle starts afresh, so it is none of the cases worth remembering. */
function isKnownFor(method: Given, call: Given): boolean {
  return method !== false && call !== false;
}

function merge(given: readonly Given[]): PiiOptions {
  let options: PiiOptions = {};
  for (const level of given) {
    if (level === false) options = {};
    else if (level !== undefined) options = withOwn(options, level);
  }
  return options;
}

/** A redactor stands for entities and detectors, and they for it: who gives the one does not mean the other. */
function withOwn(outer: PiiOptions, own: PiiOptions): PiiOptions {
  const merged = { ...outer, ...own };
  if (own.redactor !== undefined) {
    if (own.entities === undefined) delete merged.entities;
    if (own.detectors === undefined) delete merged.detectors;
  } else if (own.entities !== undefined || own.detectors !== undefined) delete merged.redactor;
  return merged;
}
