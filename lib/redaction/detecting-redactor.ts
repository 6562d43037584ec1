import { ignoreRejection, isThenable } from '../core/thenable.js';
import { isPlaceholderType, Placeholders, PlaceholderStream } from './placeholders.js';
import type { PiiContext, PiiDetector, PiiRedactor, PiiSpan, PiiType, Redaction } from '../core/pii.js';
import { mergeSpans } from './detectors/merge-spans.js';
import { RedactionFault } from './redaction-fault.js';
import { rehydrated, resolvesAll } from './rehydration.js';
import { TextLeaves, type TextLeaf } from './text-leaves.js';

/** Detectors asked at one time, where they answer later: each may be a request of its own. */
const MOST_AT_ONCE = 16;

/** A redactor that puts a placeholder such as `[[EMAIL_1]]` in the place of everything its detectors find. */
export class DetectingRedactor implements PiiRedactor {
  readonly id: string;
  readonly version: string;

  constructor(private readonly detectors: readonly PiiDetector[]) {
    this.id = detectors.map(({ id }) => id).join('+');
    this.version = JSON.stringify(detectors.map(({ version }) => version));
  }

  redact<T>(value: T, context: PiiContext): Redaction<T> | Promise<Redaction<T>> {
    const leaves = new TextLeaves(value);
    const found = this.detect(leaves.leaves, context);
    return isThenable(found) ? found.then((spans) => redactionOf<T>(leaves, spans, context)) : redactionOf<T>(leaves, found, context);
  }

  private detect(leaves: readonly TextLeaf[], context: PiiContext): PiiSpan[][] | Promise<PiiSpan[][]> {
    const spans: PiiSpan[][] = [];
    for (let index = 0; index < leaves.length; index++) {
      const found = this.detectIn(leaves[index]!, context);
      if (isThenable(found)) return this.detectLater(leaves, context, spans, found);
      spans.push(found);
    }
    return spans;
  }

  private async detectLater(leaves: readonly TextLeaf[], context: PiiContext, done: PiiSpan[][], running: PromiseLike<PiiSpan[]>): Promise<PiiSpan[][]> {
    const spans = [...done, await running];
    while (spans.length < leaves.length) {
      context.signal?.throwIfAborted();
      const next = leaves.slice(spans.length, spans.length + MOST_AT_ONCE);
      spans.push(...(await Promise.all(next.map(async (leaf) => this.detectIn(leaf, context)))));
    }
    return spans;
  }

  private detectIn({ text, path }: TextLeaf, context: PiiContext): PiiSpan[] | PromiseLike<PiiSpan[]> {
    const inside = { ...context, path: [...context.path, ...path] };
    const found: unknown[] = [];
    try {
      for (const detector of this.detectors) found.push(detector.detect(text, inside));
    } catch (error) {
      for (const list of found) ignoreRejection(list);
      throw error;
    }
    return found.some(isThenable) ? Promise.all(found).then((lists) => checkedSpans(lists, text)) : checkedSpans(found, text);
  }
}

/** @throws RedactionFault when a detector gave something else than spans of the text. */
function checkedSpans(lists: readonly unknown[], text: string): PiiSpan[] {
  const spans: PiiSpan[] = [];
  for (const list of lists) {
    if (!Array.isArray(list)) throw new RedactionFault('a detector gave no list of spans');
    for (const span of list as Array<Partial<PiiSpan> | null | undefined>) {
      const { start, end, type } = span ?? {};
      const isInside = Number.isInteger(start) && Number.isInteger(end) && start! >= 0 && start! < end! && end! <= text.length;
      if (!isInside) throw new RedactionFault('a detector gave a span that is not inside the text');
      if (!isPlaceholderType(type)) throw new RedactionFault('a detector gave a type that is not of the form EMAIL or CREDIT_CARD');
      spans.push(span as PiiSpan);
    }
  }
  return spans.length > 1 ? mergeSpans(spans) : spans;
}

function redactionOf<T>(leaves: TextLeaves, spans: readonly PiiSpan[][], { path, reserved, reversible }: PiiContext): Redaction<T> {
  const types = reversible ? new Set(spans.flatMap((found) => found.map(({ type }) => type))) : undefined;
  const placeholders = new Placeholders(reserved);
  const value = leaves.replace((index) => redactedText(leaves.leaves[index]!.text, spans[index]!, types, placeholders)) as T;
  return {
    value,
    found: spans.flatMap((found, index) => found.map(({ type }) => ({ type, path: [...path, ...leaves.leaves[index]!.path] }))),
    rehydrate: (answer) => rehydrated(answer, placeholders),
    rehydrateStream: ({ json = false } = {}) => new PlaceholderStream(placeholders, json),
    ...(reversible ? { placeholders: placeholders.inUse, resolves: (answer: unknown) => resolvesAll(answer, placeholders) } : {}),
  };
}

function redactedText(text: string, spans: readonly PiiSpan[], types: ReadonlySet<PiiType> | undefined, placeholders: Placeholders): string {
  const quoted = (part: string): string => (types === undefined ? part : placeholders.quote(part, types));
  let redacted = '';
  let from = 0;
  for (const { start, end, type } of spans) {
    redacted += quoted(text.slice(from, start)) + placeholders.for(type, text.slice(start, end));
    from = end;
  }
  return redacted + quoted(text.slice(from));
}
