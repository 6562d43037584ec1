/** What kind of personal data or secret a span holds. Detectors of your own may use names of their own. */
export type PiiType = 'EMAIL' | 'PHONE' | 'CREDIT_CARD' | 'IBAN' | 'SSN' | 'IP' | 'SECRET' | (string & {});

/** A part of a text that a detector found. */
export interface PiiSpan {
  /** Where it starts, in UTF-16 code units, as `String.prototype.slice` counts. */
  start: number;
  /** Where it ends: the place after its last code unit. */
  end: number;
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
}

/** Finds personal data in a text. `id` and `version` belong to the key: change `version` whenever `detect` would find something else. */
export interface PiiDetector {
  readonly id: string;
  readonly version: string;
  /** The spans found, in any order; they may overlap. */
  detect(text: string, context: PiiContext): PiiSpan[] | Promise<PiiSpan[]>;
}
