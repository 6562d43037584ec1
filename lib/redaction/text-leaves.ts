import { types } from 'node:util';
import { isRecord } from '../core/check-options.js';
import { JsonText } from './json-text.js';
import { RedactionFault } from './redaction-fault.js';

export type Path = readonly (string | number)[];

/** A text inside a value. */
export interface TextLeaf {
  readonly text: string;
  readonly path: Path;
  /** The field it is in. */
  readonly field: string | number | undefined;
}

/** A text that was to be replaced where it cannot be, such as in a URL object. */
export class Unreplaceable extends RedactionFault {
  constructor() {
    super('found personal data where it cannot be replaced, such as in a URL object');
  }
}

/** More objects than any request holds: whoever passes a socket or an ORM's session does not want it walked. */
const MAX_OBJECTS = 100_000;

/** One step into a value. Written out as a list for each object, the ways into a deep value would fill the memory. */
interface Way {
  readonly before: Way | undefined;
  readonly field: string | number;
}

/** Where a text is. */
class Slot implements TextLeaf {
  constructor(
    readonly holder: Holder,
    readonly at: string | number,
    readonly kind: 'value' | 'key',
    readonly text: string,
  ) {}

  get field(): string | number | undefined {
    return this.kind === 'key' ? undefined : this.at;
  }

  get path(): Path {
    const path = [this.at];
    for (let way = this.holder.way; way !== undefined; way = way.before) path.push(way.field);
    return path.reverse();
  }
}

/** An object that holds texts, with the way to it. */
interface Holder {
  readonly source: object;
  readonly way: Way | undefined;
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
  /** Texts that are JSON, and where they are. */
  private readonly json: Array<{ readonly holder: Holder; readonly field: string; readonly json: JsonText }> = [];

  /** @param which `leaving`: what names things in a protocol and bytes are left out, for they are nobody's text */
  constructor(
    private readonly root: unknown,
    private readonly which: 'leaving' | 'all' = 'leaving',
  ) {
    if (typeof root === 'string') this.leaves = [{ text: root, path: [], field: undefined }];
    else {
      this.walk();
      this.leaves = this.slots;
    }
  }

  /** @throws Unreplaceable */
  replace(textAt: (index: number) => string): unknown {
    if (typeof this.root === 'string') return textAt(0);
    const changes = new Map<Holder, Array<[Slot, string]>>();
    for (const [index, slot] of this.slots.entries()) {
      const text = textAt(index);
      if (text === slot.text) continue;
      if (slot.holder.isOpaque) throw new Unreplaceable();
      addTo(changes, slot.holder, [slot, text]);
    }
    return changes.size === 0 ? this.root : this.rebuilt(changes);
  }

  private walk(): void {
    const waiting: Array<[value: object, way: Way | undefined]> = isObject(this.root) ? [[this.root, undefined]] : [];
    while (waiting.length > 0) {
      const [value, way] = waiting.pop()!;
      if (this.holders.has(value)) continue;
      const holder = holderOf(value, way, this.which);
      this.holders.set(value, holder);
      if (this.holders.size > MAX_OBJECTS) throw new RedactionFault('was given more objects than it looks through');
      const inside: Array<[object, Way]> = [];
      for (const [field, entry] of holder.entries) {
        if (holder.keysAreData && typeof field === 'string' && !IDENTIFIER.test(field)) this.slots.push(new Slot(holder, field, 'key', field));
        const json = this.which === 'leaving' && typeof entry === 'string' && !holder.isOpaque && isPlain(value) ? JsonText.of(entry) : undefined;
        if (json !== undefined) {
          this.json.push({ holder, field: field as string, json });
          inside.push([json, { before: way, field }]);
        } else if (typeof entry === 'string') {
          if (this.which === 'all' || !isExempt(value, field, entry)) this.slots.push(new Slot(holder, field, 'value', entry));
        } else if (isObject(entry)) inside.push([entry, { before: way, field }]);
      }
      // One by one: what is spread lies on the stack.
      for (let next = inside.pop(); next !== undefined; next = inside.pop()) waiting.push(next);
    }
  }

  /** Copies of all objects on a way to what changed; everything else is the same as before. */
  private rebuilt(changes: ReadonlyMap<Holder, ReadonlyArray<[Slot, string]>>): unknown {
    const changed = this.withTheirHolders(changes);
    const copies = new Map<object, object>();
    for (const { source } of changed) copies.set(source, emptyLike(source));
    for (const holder of changed) {
      if (holder.source instanceof JsonText) continue;
      const texts = changes.get(holder) ?? [];
      const [values, keys] = (['value', 'key'] as const).map((wanted) => new Map(texts.filter(([{ kind }]) => kind === wanted).map(([{ at }, text]) => [at, text])));
      fill(copies.get(holder.source)!, holder, (field, value) => [
        keys!.get(field) ?? field,
        values!.get(field) ?? (isObject(value) ? (copies.get(value) ?? value) : value),
      ]);
    }
    for (const { holder, field, json } of this.json) {
      const texts = changes.get(this.holders.get(json)!);
      if (texts === undefined) continue;
      (copies.get(holder.source) as Record<string, unknown>)[field] = json.with(new Map(texts.map(([{ at }, text]) => [at as number, text])));
    }
    return copies.get(this.root as object);
  }

  private withTheirHolders(changes: ReadonlyMap<Holder, unknown>): Set<Holder> {
    const parents = new Map<Holder, Holder[]>();
    for (const holder of this.holders.values()) {
      for (const [, value] of holder.entries) {
        const child = isObject(value) ? this.holders.get(value) : undefined;
        if (child !== undefined) addTo(parents, child, holder);
      }
    }
    for (const { holder, json } of this.json) addTo(parents, this.holders.get(json)!, holder);
    const found = new Set<Holder>();
    const waiting = [...changes.keys()];
    while (waiting.length > 0) {
      const holder = waiting.pop()!;
      if (found.has(holder)) continue;
      if (holder.isOpaque) throw new Unreplaceable();
      found.add(holder);
      for (const parent of parents.get(holder) ?? []) waiting.push(parent);
    }
    return found;
  }
}

/** A name in code, not data. */
const IDENTIFIER = /^[A-Za-z_$][\w$-]{0,40}$/;

function holderOf(source: object, way: Way | undefined, which: 'leaving' | 'all'): Holder {
  const holder = (entries: Holder['entries'], isOpaque = false): Holder => ({ source, way, entries, keysAreData: isPlain(source), isOpaque });
  if (source instanceof JsonText) return holder(source.literals.map(({ text }, index) => [index, text]));
  // Holes stay holes.
  if (Array.isArray(source)) return holder(Array.from(source, (value: unknown, index): [number, unknown] => [index, value]).filter(([index]) => index in source));
  if (source instanceof Map) return holder([...source].flatMap(([key, value], index) => [[2 * index, key as unknown], [2 * index + 1, value as unknown]]));
  if (source instanceof Set) return holder([...source].map((value, index) => [index, value as unknown]));
  if (isBlind(source)) return holder([]);
  const hidden = which === 'leaving' ? hiddenTexts(source) : undefined;
  if (hidden !== undefined) return holder(hidden, true);
  return holder(Object.keys(source).sort().map((field) => [field, (source as Record<string, unknown>)[field]]));
}

/** The texts of an object that are not in its own fields, or not only: they can be read and not replaced. */
function hiddenTexts(source: object): Holder['entries'] | undefined {
  if (source instanceof URL || source instanceof URLSearchParams) return [['href', String(source)]];
  if (types.isStringObject(source)) return [['value', String(source)]];
  if (types.isNativeError(source)) return [['message', source.message], ['stack', source.stack], ['cause', source.cause], ...Object.entries(source)];
  const { toJSON } = source as { toJSON?: unknown };
  return typeof toJSON === 'function' && !isPlain(source) ? [['toJSON', Reflect.apply(toJSON, source, []) as unknown]] : undefined;
}

/** Holds no text: times, bytes, patterns, signals, functions' business. */
function isBlind(source: object): boolean {
  return source instanceof Date || source instanceof RegExp || ArrayBuffer.isView(source) || source instanceof ArrayBuffer
    || source instanceof AbortSignal || source instanceof Promise;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

function addTo<Key, Item>(lists: Map<Key, Item[]>, key: Key, item: Item): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [item]);
  else list.push(item);
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
  if (Array.isArray(copy)) {
    for (const [field, value] of entries) copy[field as number] = changed(field, value)[1];
    copy.length = (source as unknown[]).length;
  } else if (copy instanceof Set) for (const [field, value] of entries) copy.add(changed(field, value)[1]);
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
/** What a message has beside its role. An account with a role has none of them. */
const MESSAGE: readonly string[] = ['content', 'parts', 'tool_calls', 'function_call', 'refusal'];
const PARTS: ReadonlySet<unknown> = new Set([
  'function', 'text', 'image_url', 'image', 'input_audio', 'file', 'refusal', 'document', 'tool_use', 'server_tool_use', 'tool_result', 'thinking', 'redacted_thinking',
  'message', 'input_text', 'input_image', 'input_file', 'output_text', 'function_call', 'function_call_output', 'reasoning', 'json_schema', 'json_object',
  'tool-call', 'tool-result', 'tool_call',
]);

/** Requests, messages, tool calls, parts and answers: some of their fields name things for the protocol. */
function isProtocol(source: object): boolean {
  const { messages, choices, role, type, object } = source as Record<string, unknown>;
  return Array.isArray(messages) || Array.isArray(choices) || (ROLES.has(role) && MESSAGE.some((field) => field in source)) || PARTS.has(type)
    || (typeof object === 'string' && /^(?:chat\.completion|response|text_completion)/.test(object)) || 'finish_reason' in source;
}

/** What names things in a protocol. It is no text of anybody's, and an altered one would break the request. */
const NAMES: ReadonlySet<string> = new Set(['role', 'type', 'object', 'id', 'finish_reason', 'stop_reason', 'system_fingerprint', 'service_tier', 'detail', 'format']);
/** Names of protocols' own, wherever they are. */
const IDS: ReadonlySet<string> = new Set(['model', 'tool_call_id', 'tool_use_id', 'call_id', 'file_id', 'item_id', 'previous_response_id', 'toolCallId']);
/** Bytes as text: of a protocol, or with the name of their format beside them. */
const BYTES: ReadonlySet<string> = new Set(['data', 'file_data', 'b64_json', 'signature', 'encrypted_content', 'thoughtSignature']);
const FORMATS: readonly string[] = ['format', 'media_type', 'mimeType', 'mime_type', 'mediaType'];
const BASE64 = /^[\w+/=-]*$/;
const DATA_URL = /^data:[^,\s]{0,200};base64,[\w+/=%-]*$/;

function isExempt(holder: object, field: string | number, text: string): boolean {
  if (text.startsWith('data:') && DATA_URL.test(text)) return true;
  if (typeof field !== 'string' || !isRecord(holder)) return false;
  if (IDS.has(field)) return true;
  if (BYTES.has(field)) return (isProtocol(holder) || FORMATS.some((name) => Object.hasOwn(holder, name)) || field === 'thoughtSignature') && BASE64.test(text);
  return NAMES.has(field) && isProtocol(holder);
}
