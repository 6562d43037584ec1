import { isRecord } from '../core/check-options.js';
import type { Redaction, TextRestorer } from '../core/pii.js';
import { isJsonText } from '../redaction/rehydration.js';
import { TextLeaves, type Path, type TextLeaf } from '../redaction/text-leaves.js';
import { END, WAIT, type ChunkReader } from './chunk-reader.js';

/** One text that comes in pieces, each in the same place of another chunk. */
interface Channel {
  /** How it begins, without spaces: JSON is told by that. */
  begins: string;
  /** What came before it could be told. */
  undecided: string;
  restorer: TextRestorer | undefined;
  /** The last chunk that had a piece, and where. */
  chunk: unknown;
  path: Path;
}

/** Enough to see whether a text is JSON. */
const BEGINNING = 2;
/** Fields whose texts are pieces of what is said, or of a name; all others say what a chunk is. */
const SAID: ReadonlySet<unknown> = new Set(['content', 'text', 'refusal', 'reasoning', 'reasoning_content', 'thinking', 'arguments', 'partial_json', 'delta', 'name']);

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
    if (isWhole(chunk)) return [...this.rests(new Set(), chunk), this.redaction.rehydrate(chunk)];
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
    if (channel === undefined) this.channels.set(id, (channel = { begins: '', undecided: '', restorer: undefined, chunk, path }));
    channel.chunk = chunk;
    channel.path = path;
    if (channel.begins.length < BEGINNING) channel.begins = (channel.begins + text.replaceAll(/\s/g, '')).slice(0, BEGINNING);
    const piece = this.certain(channel, text, field);
    return endsChoice(chunk, path) ? piece + this.end(id) : piece;
  }

  private certain(channel: Channel, text: string, field: TextLeaf['field']): string {
    if (channel.restorer !== undefined) return channel.restorer.push(text);
    if (channel.begins === '') return text; // nothing is said yet
    const known = channel.undecided + text;
    const json = isJsonText(field, channel.begins);
    channel.undecided = json === undefined ? known : '';
    if (json === undefined) return '';
    channel.restorer = this.redaction.rehydrateStream({ json });
    return channel.restorer.push(known);
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
    const { restorer, undecided } = this.channels.get(id)!;
    this.channels.delete(id);
    return restorer?.end() ?? undecided;
  }
}

/** A place in chunk after chunk: items of lists are told apart by their `index`, events by what they are about. */
function channelOf(chunk: unknown, path: Path): string {
  let [value, id] = [chunk, isEvent(chunk) ? `${chunk.type} ${aboutOf(chunk)}` : ''];
  for (const step of path) {
    value = (value as Record<string | number, unknown> | undefined)?.[step];
    id += `.${typeof step === 'number' && isRecord(value) && typeof value['index'] === 'number' ? `#${value['index']}` : step}`;
  }
  return id;
}

/** What names the text that an event is about, with each vendor. */
const ABOUT: readonly string[] = ['index', 'output_index', 'content_index', 'summary_index', 'id', 'toolCallId'];

/** Which of several texts an event is about. The pieces of other streams are not told apart so: their `id` is that of the answer. */
function aboutOf(chunk: unknown): string | undefined {
  if (!isEvent(chunk)) return undefined;
  const names = ABOUT.filter((field) => ['string', 'number'].includes(typeof chunk[field])).map((field) => `${field}=${String(chunk[field])}`);
  return names.length === 0 ? undefined : names.join();
}

/** Whether an event about one thing is about all or some of what another is about: an item holds its contents. */
const covers = (whole: string, part: string): boolean => part === whole || part.startsWith(`${whole},`);

/** An event such as `content_block_delta`, `response.output_text.delta` and `text-delta`. */
function isEvent(chunk: unknown): chunk is Record<string, unknown> & { type: string } {
  return isRecord(chunk) && typeof chunk['type'] === 'string' && /^ping$|^[a-z]+[._-]/.test(chunk['type']);
}

/** Whether the texts of a chunk are no pieces of longer ones. */
const isWhole = (chunk: unknown): boolean => isEvent(chunk) && !chunk.type.endsWith('delta');

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
 * without any, ends the text of one; nor do events about others end it, or signs of life. Other streams say one thing after the other.
 */
function endsText(next: unknown, chunk: unknown, path: Path): boolean {
  if (isEvent(next)) {
    const [about, other] = [aboutOf(chunk), aboutOf(next)];
    return next.type !== 'ping' && (about === undefined || other === undefined || covers(other, about));
  }
  const choice = choiceAt(chunk, path);
  if (choice === undefined || !isRecord(next) || !Array.isArray(next['choices'])) return true;
  if (next['choices'].length === 0) return true;
  const index = choice['index'] ?? 0;
  return next['choices'].some((other) => isRecord(other) && (other['index'] ?? 0) === index && hasFinished(other));
}

/** A chunk like another, with this text in its place and nothing else said. */
function chunkWith(like: unknown, [step, ...rest]: Path, text: string): unknown {
  if (step === undefined || typeof like !== 'object' || like === null) return text;
  if (Array.isArray(like)) return [chunkWith(like[step as number], rest, text)];
  const copy = Object.create(Object.getPrototypeOf(like) as object | null) as Record<string, unknown>;
  for (const [field, value] of Object.entries(like)) {
    if (field === step) copy[field] = chunkWith(value, rest, text);
    else if (typeof value !== 'object' || value === null) copy[field] = SAID.has(field) ? undefined : value;
  }
  return copy;
}
