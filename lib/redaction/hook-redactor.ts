import { ignoreRejection, isThenable } from '../core/thenable.js';
import { digest } from '../key/digest.js';
import type { PiiContext, PiiRedactor, RedactText, Redaction } from '../core/pii.js';
import { RedactionFault } from './redaction-fault.js';
import { TextLeaves } from './text-leaves.js';

/** What a text was that a function has changed; it does not say. */
const TYPE = 'REDACTED';

/** A redactor that is one function. There is no way back from what it makes. */
export class HookRedactor implements PiiRedactor {
  readonly id = 'function';
  /** Of its source: another function, other keys. */
  readonly version: string;

  constructor(private readonly redactText: RedactText) {
    this.version = digest(Function.prototype.toString.call(redactText));
  }

  redact<T>(value: T, context: PiiContext): Redaction<T> | Promise<Redaction<T>> {
    const leaves = new TextLeaves(value);
    const texts: unknown[] = [];
    try {
      for (const { text } of leaves.leaves) texts.push(this.redactText(text));
    } catch (error) {
      for (const text of texts) ignoreRejection(text);
      throw error;
    }
    return texts.some(isThenable)
      ? Promise.all(texts).then((later) => redactionOf<T>(leaves, later, context))
      : redactionOf<T>(leaves, texts, context);
  }
}

/** @throws RedactionFault when the function gave something else than a text. */
function redactionOf<T>(leaves: TextLeaves, texts: readonly unknown[], { path }: PiiContext): Redaction<T> {
  if (!texts.every((text) => typeof text === 'string')) throw new RedactionFault('the function gave no text');
  const changed = leaves.leaves.filter(({ text }, index) => texts[index] !== text);
  return {
    value: leaves.replace((index) => texts[index]!) as T,
    found: changed.map((leaf) => ({ type: TYPE, path: [...path, ...leaf.path] })),
    rehydrate: (answer) => answer,
    rehydrateStream: () => ({ push: (piece) => piece, end: () => '' }),
  };
}
