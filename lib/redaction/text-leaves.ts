import { isRecord } from '../core/check-options.js';

export type Path = readonly (string | number)[];

/** A text inside a value. */
export interface TextLeaf {
  readonly text: string;
  readonly path: Path;
  /** The field it is in. */
  readonly field: string | number | undefined;
}

/** Replaces texts; the same text where it stays. */
export type Replace = (leaf: TextLeaf) => string;

/** A text that was to be replaced where it cannot be, such as in a URL object. */
export class Unreplaceable extends Error {}

/** More objects than any request holds: whoever passes a socket or an ORM's session does not want it walked. */
const MAX_OBJECTS = 100_000;

interface Slot {
  readonly holder: Holder;
  readonly field: string | number;
  readonly kind: 'value' | 'key';
  readonly leaf: TextLeaf;
}

/** An object that holds texts, with the way to it. */
interface Holder {
  readonly source: object;
  readonly path: Path;
  /** Its entries in the order they are visited. Keys of a Map are values too. */
  readonly entries: Array<[field: string | number, value: unknown]>;
  /** Fields of plain data may be named by a user. */
  readonly keysAreData: boolean;
  /** Texts here can be read and not replaced. */
  readonly isOpaque: boolean;
}

/**
 * Every text of a value, and a copy of the value with the texts replaced. Objects are walked without recursion, each
 * once, and fields in the order of their names: two values with the same key have their texts in the same order.
 */
export class TextLeaves {
  readonly leaves: readonly TextLeaf[];
  private readonly slots: Slot[] = [];
  private readonly holders = new Map<object, Holder>();

  /** @param which `leaving`: what names things in a protocol and bytes are left out, for they are nobody's text */
  constructor(
    private readonly root: unknown,
    private readonly which: 'leaving' | 'all' = 'leaving',
  ) {
    if (typeof root === 'string') this.leaves = [{ text: root, path: [], field: undefined }];
    else {
      this.walk();
      this.leaves = this.slots.map(({ leaf }) => leaf);
    }
  }

  /** @throws Unreplaceable */
  replace(textAt: (index: number) => string): unknown {
    if (typeof this.root === 'string') return textAt(0);
    const changes = new Map<Holder, Array<[Slot, string]>>();
    for (const [index, slot] of this.slots.entries()) {
      const text = textAt(index);
      if (text === slot.leaf.text) continue;
      if (slot.holder.isOpaque) throw new Unreplaceable();
      changes.set(slot.holder, [...(changes.get(slot.holder) ?? []), [slot, text]]);
    }
    return changes.size === 0 ? this.root : this.rebuilt(changes);
  }

  private walk(): void {
    const waiting: Array<[value: unknown, path: Path]> = [[this.root, []]];
    while (waiting.length > 0) {
      const [value, path] = waiting.pop()!;
      if (typeof value !== 'object' || value === null || this.holders.has(value)) continue;
      const holder = holderOf(value, path);
      this.holders.set(value, holder);
      if (this.holders.size > MAX_OBJECTS) throw new RangeError('too many objects to look through');
      const inside: Array<[unknown, Path]> = [];
      for (const [field, entry] of holder.entries) {
        const at = [...path, field];
        if (holder.keysAreData && typeof field === 'string' && !IDENTIFIER.test(field)) {
          this.slots.push({ holder, field, kind: 'key', leaf: { text: field, path: at, field: undefined } });
        }
        if (typeof entry === 'string') {
          if (this.which === 'all' || !isExempt(value, field, entry)) this.slots.push({ holder, field, kind: 'value', leaf: { text: entry, path: at, field } });
        } else inside.push([entry, at]);
      }
      waiting.push(...inside.reverse());
    }
  }

  /** Copies of all objects on a way to what changed; everything else is the same as before. */
  private rebuilt(changes: ReadonlyMap<Holder, ReadonlyArray<[Slot, string]>>): unknown {
    const changed = this.withTheirHolders(changes);
    const copies = new Map<object, object>();
    for (const { source } of changed) copies.set(source, emptyLike(source));
    for (const holder of changed) {
      const texts = changes.get(holder) ?? [];
      const values = new Map(texts.filter(([{ kind }]) => kind === 'value').map(([{ field }, text]) => [field, text]));
      const keys = new Map(texts.filter(([{ kind }]) => kind === 'key').map(([{ field }, text]) => [field, text]));
      fill(copies.get(holder.source)!, holder, (field, value) => [
        keys.get(field) ?? field,
        values.get(field) ?? (typeof value === 'object' && value !== null ? (copies.get(value) ?? value) : value),
      ]);
    }
    return copies.get(this.root as object);
  }

  private withTheirHolders(changes: ReadonlyMap<Holder, unknown>): Set<Holder> {
    const parents = new Map<Holder, Holder[]>();
    for (const holder of this.holders.values()) {
      for (const [, value] of holder.entries) {
        const child = typeof value === 'object' && value !== null ? this.holders.get(value) : undefined;
        if (child !== undefined) parents.set(child, [...(parents.get(child) ?? []), holder]);
      }
    }
    const found = new Set<Holder>();
    const waiting = [...changes.keys()];
    while (waiting.length > 0) {
      const holder = waiting.pop()!;
      if (found.has(holder)) continue;
      if (holder.isOpaque) throw new Unreplaceable();
      found.add(holder);
      waiting.push(...(parents.get(holder) ?? []));
    }
    return found;
  }
}

/** A name in code, not data. */
const IDENTIFIER = /^[A-Za-z_$][\w$-]{0,40}$/;

function holderOf(source: object, path: Path): Holder {
  const holder = (entries: Holder['entries'], keysAreData = false, isOpaque = false): Holder => ({ source, path, entries, keysAreData, isOpaque });
  if (Array.isArray(source)) return holder(source.map((value, index) => [index, value]));
  if (source instanceof Map) return holder([...source].flatMap(([key, value], index) => [[2 * index, key as unknown], [2 * index + 1, value as unknown]]));
  if (source instanceof Set) return holder([...source].map((value, index) => [index, value as unknown]));
  if (source instanceof URL || source instanceof URLSearchParams) return holder([['href', String(source)]], false, true);
  if (isBlind(source)) return holder([]);
  const { toJSON } = source as { toJSON?: unknown };
  if (typeof toJSON === 'function' && !isPlain(source)) return holder([['toJSON', Reflect.apply(toJSON, source, []) as unknown]], false, true);
  const entries = Object.keys(source).sort().map((field): [string, unknown] => [field, (source as Record<string, unknown>)[field]]);
  return holder(entries, isPlain(source) && !isProtocol(source));
}

/** Holds no text: times, bytes, patterns, signals, functions' business. */
function isBlind(source: object): boolean {
  return source instanceof Date || source instanceof RegExp || ArrayBuffer.isView(source) || source instanceof ArrayBuffer
    || source instanceof AbortSignal || source instanceof Promise;
}

function isPlain(source: object): boolean {
  const prototype = Object.getPrototypeOf(source) as object | null;
  return prototype === null || prototype === Object.prototype;
}

function emptyLike(source: object): object {
  if (Array.isArray(source)) return [];
  if (source instanceof Map) return new Map();
  if (source instanceof Set) return new Set();
  return Object.create(Object.getPrototypeOf(source) as object | null) as object;
}

function fill(copy: object, { source, entries }: Holder, changed: (field: string | number, value: unknown) => [string | number, unknown]): void {
  if (Array.isArray(copy)) for (const [field, value] of entries) copy.push(changed(field, value)[1]);
  else if (copy instanceof Set) for (const [field, value] of entries) copy.add(changed(field, value)[1]);
  else if (copy instanceof Map) {
    for (let index = 0; index < entries.length; index += 2) {
      const [[keyAt, key], [valueAt, value]] = [entries[index]!, entries[index + 1]!];
      copy.set(changed(keyAt, key)[1], changed(valueAt, value)[1]);
    }
  } else {
    const values = new Map(entries.map(([field, value]) => [field, changed(field, value)]));
    // In the order of the source, which a reader may rely on.
    for (const field of Object.keys(source)) {
      const [name, value] = values.get(field)!;
      Object.defineProperty(copy, name, { value, writable: true, enumerable: true, configurable: true });
    }
  }
}

const ROLES: ReadonlySet<unknown> = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function', 'model']);
const PARTS: ReadonlySet<unknown> = new Set([
  'function', 'text', 'image_url', 'image', 'input_audio', 'file', 'refusal', 'tool_use', 'tool_result', 'thinking', 'message',
  'input_text', 'input_image', 'input_file', 'output_text', 'function_call', 'function_call_output', 'reasoning', 'json_schema', 'json_object',
]);

/** Requests, messages, tool calls, parts and answers: their fields are the protocol's, not data. */
function isProtocol(source: object): boolean {
  const { messages, choices, role, type, object } = source as Record<string, unknown>;
  return Array.isArray(messages) || Array.isArray(choices) || ROLES.has(role) || PARTS.has(type)
    || (typeof object === 'string' && /^(?:chat\.completion|response|text_completion)/.test(object)) || 'finish_reason' in source;
}

/** What names things in a protocol. It is no text of anybody's, and an altered one would break the request. */
const NAMES: ReadonlySet<string | number> = new Set(['role', 'type', 'object', 'id', 'finish_reason', 'stop_reason', 'system_fingerprint', 'service_tier', 'detail', 'format']);
/** Bytes as text. */
const BYTES: ReadonlySet<string | number> = new Set(['data', 'file_data', 'b64_json', 'signature', 'encrypted_content']);

function isExempt(holder: object, field: string | number, text: string): boolean {
  if (text.startsWith('data:') && text.slice(0, 200).includes(';base64,')) return true;
  if (typeof field !== 'string') return false;
  if (field === 'model') return true;
  if (BYTES.has(field)) return field !== 'data' || ['format', 'media_type', 'mimeType', 'mime_type', 'mediaType'].some((name) => Object.hasOwn(holder, name));
  return isRecord(holder) && isProtocol(holder) && (NAMES.has(field) || field.endsWith('_id'));
}
