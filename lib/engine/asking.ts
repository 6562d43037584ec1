import type { Clock } from '../core/clock.js';
import { UncacheableInputError } from '../core/errors.js';
import type { PiiOptions, Redaction } from '../core/pii.js';
import { ignoreRejection, isThenable } from '../core/thenable.js';
import type { CacheControl, KeyParts } from '../core/types.js';
import type { KeyDocument } from '../key/key.js';
import { mergeCacheControl } from '../policy/cache-control.js';
import type { ChunkReader } from '../streaming/chunk-reader.js';
import { RestoringReader } from '../streaming/restoring-reader.js';
import { ambient } from './ambient.js';
import { resolveCall, type Call, type Caller } from './call.js';
import { documentOf } from './document.js';
import type { Settings } from './engine-options.js';
import type { Outcomes } from './outcomes.js';
import { Privacies, type Privacy } from './privacy.js';
import { questionOf, type Question } from './question.js';
import type { Produce } from './upstream-calls.js';

/** A question that was looked through for personal data and resolved. */
export interface Asked {
  readonly call: Call;
  readonly produce: Produce;
}

/** The first step of every call: what of it may leave, and what it is to the cache. */
export class Asking {
  private readonly privacies: Privacies;

  constructor(
    private readonly settings: Settings,
    private readonly clock: Clock,
    private readonly outcomes: Outcomes,
  ) {
    this.privacies = new Privacies(settings.pii, clock);
  }

  /** @throws LlmCacheConfigError when a method's options do not go with the module's. */
  check(pii: PiiOptions | false | undefined): void {
    this.privacies.of(pii);
  }

  /** At once, unless a redactor takes its time. @throws PiiRedactionError, also as a rejection, where raw text must not leave. */
  ask<Given>(question: Question<Given>, caller: Caller, startedAtMs: number): Asked | Promise<Asked> {
    const privacy = this.privacies.of(question.pii, caller.pii);
    const resolve = (given: Given, redaction?: Redaction<unknown>): Asked => {
      const { parts, defaults } = question.about(given);
      const known = privacy === undefined ? defaults : { ...defaults, privacy, redaction };
      return { call: resolveCall(this.settings, parts, caller, known, startedAtMs), produce: (upstream) => question.produce(upstream, given) };
    };
    if (privacy === undefined) return resolve(question.given);
    if (privacy.guardsTheModel) return this.redacted(question, caller, privacy, resolve);
    const raw = resolve(question.given);
    return privacy.mode === 'bypass' && raw.call.key !== undefined ? this.unlessPersonal(raw, privacy) : raw;
  }

  /** {@link ask} that fails as a promise, which nobody may ever wait for: a stream may not be read. */
  askLater<Given>(question: Question<Given>, caller: Caller, startedAtMs: number): Asked | Promise<Asked> {
    try {
      const opened = this.ask(question, caller, startedAtMs);
      ignoreRejection(opened);
      return opened;
    } catch (error) {
      const failed = Promise.reject<Asked>(error);
      ignoreRejection(failed);
      return failed;
    }
  }

  /** What goes into the key of a call, as it would be asked now. @throws UncacheableInputError where it would bypass. */
  documentOf(parts: KeyParts, { pii, ...control }: CacheControl & { pii?: PiiOptions | false }): KeyDocument | Promise<KeyDocument> {
    const question = questionOf(parts);
    const privacy = this.privacies.of(question.pii, pii);
    const document = (given: unknown): KeyDocument =>
      documentOf(this.settings, question.about(given).parts, mergeCacheControl(ambient().control, control), privacy?.label);
    if (privacy === undefined || privacy.mode === 'redact-stored') return document(question.given);
    if (privacy.guardsTheModel) {
      const redaction = privacy.redact(question.given, 'request', ambient().frame?.placeholders);
      return isThenable(redaction) ? redaction.then(({ value }) => document(value)) : document(redaction.value);
    }
    const raw = document(question.given);
    const found = privacy.redact(personalPartOf(raw), 'request');
    return isThenable(found) ? found.then((late) => unpersonal(raw, late)) : unpersonal(raw, found);
  }

  /** {@link documentOf}. @throws UncacheableInputError where a redactor takes its time. */
  documentNow(parts: KeyParts, options: CacheControl & { pii?: PiiOptions | false }): KeyDocument {
    const document = this.documentOf(parts, options);
    if (!isThenable(document)) return document;
    ignoreRejection(document);
    throw new UncacheableInputError('input', 'looked through by a redactor that takes its time, so use keyForAsync; it is');
  }

  private redacted<Given>(
    question: Question<Given>,
    caller: Caller,
    privacy: Privacy,
    resolve: (given: Given, redaction: Redaction<unknown>) => Asked,
  ): Asked | Promise<Asked> {
    const refuse = (error: unknown): never => {
      const { parts, defaults } = question.about(question.given);
      this.outcomes.refused(resolveCall(this.settings, parts, caller, { ...defaults, bypass: 'pii-error' }, this.clock.monotonic()));
      throw error;
    };
    try {
      const redaction = privacy.redact(question.given, 'request', ambient().frame?.placeholders);
      return isThenable(redaction) ? redaction.then((late) => resolve(late.value, late), refuse) : resolve(redaction.value, redaction);
    } catch (error) {
      return refuse(error);
    }
  }

  /** The call beside the cache, where its question holds personal data or cannot be looked through. */
  private unlessPersonal(raw: Asked, privacy: Privacy): Asked | Promise<Asked> {
    const beside = (bypassReason: string): Asked => ({ ...raw, call: { ...raw.call, key: undefined, bypassReason } });
    const judge = ({ found }: Redaction<unknown>): Asked => (found.length === 0 ? raw : beside('pii'));
    try {
      const redaction = privacy.redact(personalPartOf(raw.call.document!), 'request');
      return isThenable(redaction) ? redaction.then(judge, () => beside('pii-error')) : judge(redaction);
    } catch {
      return beside('pii-error');
    }
  }
}

/** What of a key could be personal: its volatile fields are neither in it nor stored. */
function personalPartOf({ input, model }: KeyDocument): unknown {
  return { input, model };
}

function unpersonal(document: KeyDocument, { found }: Redaction<unknown>): KeyDocument {
  if (found.length === 0) return document;
  throw new UncacheableInputError(pathOf(found[0]!.path), 'personal data');
}

function pathOf(path: readonly (string | number)[]): string {
  return path.map((step, index) => (typeof step === 'number' ? `[${step}]` : index === 0 ? step : `.${/^\w{1,40}$/.test(step) ? step : '…'}`)).join('');
}

/** An answer with its caller's own values put back. */
export function withOwnValues({ call: { privacy, redaction } }: Pick<Asked, 'call'>, answer: unknown): unknown {
  if (privacy?.mode !== 'pseudonymize' || redaction === undefined) return answer;
  return isThenable(answer) ? answer.then((late) => rehydrated(redaction, late)) : rehydrated(redaction, answer);
}

/** A paid answer reaches its caller, with its placeholders if they cannot be replaced. */
function rehydrated(redaction: Redaction<unknown>, answer: unknown): unknown {
  try {
    return redaction.rehydrate(answer);
  } catch {
    return answer;
  }
}

/** The same for a reader of chunks. */
export function readWithOwnValues({ call: { privacy, redaction } }: Asked, reader: ChunkReader | Promise<ChunkReader>): ChunkReader | Promise<ChunkReader> {
  if (privacy?.mode !== 'pseudonymize' || redaction === undefined) return reader;
  return reader instanceof Promise ? reader.then((late) => new RestoringReader(late, redaction)) : new RestoringReader(reader, redaction);
}
