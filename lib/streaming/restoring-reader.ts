import { isRecord } from '../core/check-options.js';
import type { Redaction, TextRestorer } from '../core/pii.js';
import { isJsonText } from '../redaction/rehydration.js';
import { TextLeaves, type Path, type TextLeaf } from '../redaction/text-leaves.js';
import { END, WAIT, type ChunkReader } from './chunk-reader.js';

/** One text that comes in pieces, each in the same place of another chunk. */
interface Channel {
  /** How it begins: JSON is told by that. */
  begins: string;
  restorer: TextRestorer | undefined;
  /** The last chunk that had a piece, and where. */
  chunk: unknown;
  path: Path;
}

/** Enough to see whether a text is JSON. */
const BEGINNING = 16;
/** Fields whose texts are pieces of what is said; all others name something. */
const SAID: ReadonlySet<unknown> = new Set(['content', 'text', 'refusal', 'reasoning', 'reasoning_content', 'thinking', 'arguments', 'partial_json']);

/** Reads a stream with a caller's own values put back, in texts that are split anywhere over its chunks. */
export class RestoringReader implements ChunkReader {
  private readonly channels = new Map<string, Channel>();
  /** Chunks that are ready to be taken. */
  private readonly ready: unknown[] = [];
  private hasEnded = false;

  constructor(
    private readonly inner: ChunkReader,
    private readonly redaction: Redaction<unknown>,
  ) {}

  take(): unknown {
    for (;;) {
      if (this.ready.length > 0) return this.ready.shift();
      if (this.hasEnded) return END;
      const chunk = this.inner.take();
      if (chunk === WAIT) return WAIT;
      if (chunk === END) {
        this.hasEnded = true;
        this.ready.push(...this.rests(new Set()));
      } else this.ready.push(...this.restored(chunk));
    }
  }

  whenReady(callback: () => void): void {
    if (this.ready.length > 0) callback();
    else this.inner.whenReady(callback);
  }

  leave(): void {
    this.inner.leave();
  }

  /** The chunk with all that is certain; before it what other texts have come to, if it ends them. */
  private restored(chunk: unknown): unknown[] {
    const leaves = new TextLeaves(chunk, 'all');
    const present = new Set<string>();
    const texts = leaves.leaves.map((leaf) => {
      const id = channelOf(chunk, leaf.path);
      present.add(id);
      return this.pieceOf(id, leaf, chunk);
    });
    return [...this.rests(present, chunk), leaves.replace((index) => texts[index]!)];
  }

  private pieceOf(id: string, { text, path, field }: TextLeaf, chunk: unknown): string {
    let channel = this.channels.get(id);
    if (channel === undefined) this.channels.set(id, (channel = { begins: '', restorer: undefined, chunk, path }));
    channel.chunk = chunk;
    channel.path = path;
    if (channel.begins.length < BEGINNING) channel.begins = (channel.begins + text).trimStart().slice(0, BEGINNING);
    if (channel.restorer === undefined && channel.begins === '') return text; // nothing is said yet
    channel.restorer ??= this.redaction.rehydrateStream({ json: isJsonText(field, channel.begins) });
    const piece = channel.restorer.push(text);
    return endsChoice(chunk, path) ? piece + this.end(id) : piece;
  }

  /** What was held back of texts that end here: a chunk each, made like the last one they were in. */
  private rests(present: ReadonlySet<string>, next?: unknown): unknown[] {
    const rests: unknown[] = [];
    for (const [id, { chunk, path }] of this.channels) {
      if (present.has(id) || !endsText(next, chunk, path)) continue;
      const rest = this.end(id);
      if (rest !== '') rests.push(chunkWith(chunk, path, rest));
    }
    return rests;
  }

  private end(id: string): string {
    const rest = this.channels.get(id)!.restorer?.end() ?? '';
    this.channels.delete(id);
    return rest;
  }
}

/** A place in chunk after chunk: items of lists are told apart by their `index`, as are events that have one. */
function channelOf(chunk: unknown, path: Path): string {
  let [value, id] = [chunk, ''];
  for (const step of path) {
    const index = isRecord(value) && typeof value['index'] === 'number' ? `#${value['index']}` : '';
    value = (value as Record<string | number, unknown> | undefined)?.[step];
    const counts = isRecord(value) && typeof value['index'] === 'number';
    id += `${index}.${typeof step === 'number' && counts ? '*' : step}`;
  }
  return id;
}

/** The choice of a chat chunk that a path leads into. */
function choiceAt(chunk: unknown, [list, place]: Path): Record<string, unknown> | undefined {
  const choices = isRecord(chunk) && list === 'choices' ? chunk['choices'] : undefined;
  const choice: unknown = Array.isArray(choices) && typeof place === 'number' ? choices[place] : undefined;
  return isRecord(choice) ? choice : undefined;
}

const hasFinished = ({ finish_reason: reason }: Record<string, unknown>): boolean => reason !== undefined && reason !== null;

function endsChoice(chunk: unknown, path: Path): boolean {
  const choice = choiceAt(chunk, path);
  return choice !== undefined && hasFinished(choice);
}

/**
 * Whether a chunk without a piece of a text ends it. The choices of a chat take turns, so only its own end, or a chunk
 * without any, ends the text of one; other streams say one thing after the other.
 */
function endsText(next: unknown, chunk: unknown, path: Path): boolean {
  const choice = choiceAt(chunk, path);
  if (choice === undefined || !isRecord(next) || !Array.isArray(next['choices'])) return true;
  if (next['choices'].length === 0) return true;
  const index = choice['index'] ?? 0;
  return next['choices'].some((other) => isRecord(other) && (other['index'] ?? 0) === index && hasFinished(other));
}

/** A chunk like another, with this text in its place and nothing else said. */
function chunkWith(chunk: unknown, path: Path, text: string): unknown {
  const leaves = new TextLeaves(chunk, 'all');
  const place = path.join('.');
  const copy = leaves.replace((index) => {
    const leaf = leaves.leaves[index]!;
    if (leaf.path.join('.') === place) return text;
    return SAID.has(leaf.field) ? '' : leaf.text;
  });
  if (!isRecord(copy) || copy['usage'] === undefined) return copy;
  const { usage: _usage, ...rest } = copy;
  return rest;
}
