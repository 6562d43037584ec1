import type { Duration } from './duration.js';

/** What kind of personal data or secret a span holds. Detectors of your own may use names of their own. */
export type PiiType = 'EMAIL' | 'PHONE' | 'CREDIT_CARD' | 'IBAN' | 'SSN' | 'IP' | 'SECRET' | (string & {});

/** A part of a text that a detector found. */
export interface PiiSpan {
  /** Where it starts, in UTF-16 code units, as `String.prototype.slice` counts. */
  start: number;
  /** Where it ends: the place after its last code unit. */
  end: number;
  /** What it is; capitals, digits and underscores, as in `EMAIL`. */
  type: PiiType;
  /** How sure the detector is, 0 to 1. The built-in detectors decide and give none. */
  score?: number;
}

/** Where a text comes from. */
export interface PiiContext {
  /** The way to the text inside the request or the answer. */
  path: readonly (string | number)[];
  /** Whether the text goes to the model or comes from it. */
  direction: 'request' | 'response';
  /** Fires when nobody waits for the result any more. */
  signal?: AbortSignal;
  /** What is found will be put back into the answer, so text that looks like a placeholder must be one, too. */
  reversible?: boolean;
  /** Placeholders that a call around this one has put in: they stay as they are, and none is given again. */
  reserved?: ReadonlySet<string> | undefined;
}

/** Finds personal data in a text. `id` and `version` belong to the key: change `version` whenever `detect` would find something else. */
export interface PiiDetector {
  /** What it is. */
  readonly id: string;
  /** Change it whenever something else would be found. */
  readonly version: string;
  /** The spans found, in any order; they may overlap. */
  detect(text: string, context: PiiContext): PiiSpan[] | Promise<PiiSpan[]>;
}

/** What a redactor made of a value. */
export interface Redaction<T> {
  /** The value without what was found; the same object where nothing was. The given one is never changed. */
  readonly value: T;
  /** What was found and where; never the found texts themselves. */
  readonly found: ReadonlyArray<{
    /** What it is. */
    readonly type: PiiType;
    /** The way to the text that holds it. */
    readonly path: readonly (string | number)[];
  }>;
  /** A value with this redaction's placeholders replaced by what they stand for. The given one is never changed. */
  rehydrate<R>(value: R): R;
  /**
   * The same for a text that comes in pieces, split anywhere: `push` gives what is certain, `end` the rest.
   * With `json` the text is JSON, and what is put in is escaped.
   */
  rehydrateStream(options?: {
    /** The text is JSON. */
    json?: boolean;
  }): TextRestorer;
  /** The placeholders in use, those of calls around included. */
  readonly placeholders?: ReadonlySet<string>;
  /** Whether an answer holds no placeholder but those in use. Without it none is looked for. */
  resolves?(answer: unknown): boolean;
}

/** Restores a text that comes in pieces. */
export interface TextRestorer {
  /** The next piece; gives as much text as is certain. */
  push(piece: string): string;
  /** No more comes; gives the rest. */
  end(): string;
}

/** Takes personal data out of a request before anybody else sees it. `id` and `version` join every key. */
export interface PiiRedactor {
  /** What it is. */
  readonly id: string;
  /** Change it whenever something else would be found. */
  readonly version: string;
  /** Redacts a text, or every text in a tree of plain data. Must never change what it is given. */
  redact<T>(value: T, context: PiiContext): Redaction<T> | Promise<Redaction<T>>;
}

/** The redaction hook in its simplest form: gives a text without what must not be in it. */
export type RedactText = (text: string) => string | Promise<string>;

/** What is done about personal data. */
export type PiiMode = 'bypass' | 'redact' | 'pseudonymize' | 'redact-stored';

/** What is done about personal data in questions and answers. */
export interface PiiOptions {
  /**
   * `bypass`: a personal question or answer is served, and neither looked up nor stored.
   * `redact`: the model sees the redacted text, for good.
   * `pseudonymize`: the model sees `[[EMAIL_1]]`, and each caller's answer has the caller's own values put back.
   * `redact-stored`: the model sees the raw text; the answer is redacted for everybody, stored or not.
   * @default 'bypass'; 'redact-stored' where only a function is given
   */
  mode?: PiiMode;
  /** The hook: a function from text to redacted text, or a redactor. @default the built-in detectors */
  redactor?: PiiRedactor | RedactText;
  /** What the built-in detectors look for. @default EMAIL, PHONE, CREDIT_CARD, IBAN, SSN and SECRET; IP is opt-in */
  entities?: PiiType[];
  /** Detectors beside the built-in ones. */
  detectors?: PiiDetector[];
  /**
   * Personal data in an answer, in the modes `bypass` and `pseudonymize`: `skip` does not store it, `redact` redacts it for
   * everybody and stores that, `store` stores it as it is. @default 'skip'
   */
  onResponsePii?: 'skip' | 'redact' | 'store';
  /** How long redacting one question or answer may take. @default '5s' */
  timeout?: Duration;
}
