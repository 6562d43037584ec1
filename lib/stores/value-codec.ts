import { types } from 'node:util';
import { hasNamedFields, refuseSymbolKeys, Refusal } from '../key/canonical-form.js';

/**
 * Turns an answer into text and back without changing it: what JSON cannot hold is written as `{"$":[type, ...]}`.
 * An object that has a `$` field of its own is escaped, so nothing a model says can be taken for a type.
 * Plain JSON, the common case, is read back by `JSON.parse` alone.
 */
export interface EncodeOptions {
  /** Write class instances as plain data (`toJSON`, else their own fields) instead of refusing them. */
  flatten: boolean;
}

/**
 * @throws Refusal for what would not come back as it was: functions, symbols, cycles, instances of classes.
 */
export function encodeValue(value: unknown, { flatten }: EncodeOptions): string {
  const writer = new Writer(flatten);
  const json = writer.write(value);
  return (writer.tagged ? 't' : 'j') + json;
}

/** A fresh value; nobody else holds a part of it. */
export function decodeValue(payload: string): unknown {
  const value: unknown = JSON.parse(payload.slice(1));
  return payload.charCodeAt(0) === 106 /* j */ ? value : revive(value);
}

const MAX_DEPTH = 200;
/** More do not fit into any sensible `maxEntryBytes`. */
const MAX_NODES = 1_000_000;
const MAX_CHARACTERS = 64 * 1024 * 1024;

class Writer {
  tagged = false;
  private nodesLeft = MAX_NODES;
  private charactersLeft = MAX_CHARACTERS;
  private readonly ancestors: object[] = [];

  constructor(private readonly flatten: boolean) {}

  write(value: unknown): string {
    if (--this.nodesLeft < 0) throw new Refusal(`made of more than ${MAX_NODES} values`);
    switch (typeof value) {
      case 'string':
        this.charactersLeft -= value.length;
        if (this.charactersLeft < 0) throw new Refusal('made of too much text');
        return JSON.stringify(value);
      case 'boolean':
        return String(value);
      case 'number':
        return Number.isFinite(value) && !Object.is(value, -0)
          ? String(value)
          : this.tag('number', JSON.stringify(Object.is(value, -0) ? '-0' : String(value)));
      case 'undefined':
        return this.tag('undefined');
      case 'bigint':
        return this.tag('bigint', `"${value}"`);
      case 'object':
        return value === null ? 'null' : this.writeNested(value);
      default:
        throw new Refusal(`a ${typeof value}`);
    }
  }

  private writeNested(value: object): string {
    if (this.ancestors.length >= MAX_DEPTH) throw new Refusal(`nested deeper than ${MAX_DEPTH} levels`);
    if (this.ancestors.includes(value)) throw new Refusal('a cycle');
    this.ancestors.push(value);
    const json = Array.isArray(value) ? this.writeArray(value) : this.writeObject(value);
    this.ancestors.pop();
    return json;
  }

  private writeArray(array: readonly unknown[]): string {
    if (!this.flatten && !Array.isArray(Object.getPrototypeOf(array))) throw new Refusal('an instance of a subclass of Array');
    refuseSymbolKeys(array);
    this.nodesLeft -= array.length;
    if (this.nodesLeft < 0) throw new Refusal(`made of more than ${MAX_NODES} values`);
    const items: string[] = [];
    for (let index = 0; index < array.length; index++) {
      items.push(index in array ? this.write(array[index]) : this.tag('hole'));
    }
    const holes = items.filter((item) => item === HOLE).length;
    if (Object.keys(array).length !== array.length - holes) throw new Refusal('an array with named fields');
    return `[${items.join(',')}]`;
  }

  private writeObject(value: object): string {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === null) return this.writeFields(value, 'null-prototype');
    if (isPlainPrototype(prototype as object)) return this.writeFields(value);
    return this.writeBuiltIn(value) ?? this.writeInstance(value);
  }

  private writeFields(value: object, type = Object.hasOwn(value, '$') ? 'escaped' : undefined): string {
    refuseSymbolKeys(value);
    const fields = Object.entries(value).map(([name, field]) => [JSON.stringify(name), this.write(field)] as const);
    // `JSON.parse` may read a name with an escape as another one: see `parseJson`. As text in a list it is safe.
    if (fields.some(([name]) => name.includes('\\'))) {
      const list = `[${fields.map((field) => `[${field.join(',')}]`).join(',')}]`;
      return type === 'null-prototype' ? this.tag('fields', list, `"${type}"`) : this.tag('fields', list);
    }
    const json = `{${fields.map((field) => field.join(':')).join(',')}}`;
    return type === undefined ? json : this.tag(type, json);
  }

  private writeBuiltIn(value: object): string | undefined {
    const type = classNameOf(value);
    if (ArrayBuffer.isView(value)) {
      if (!isBuiltInView(value, type) || hasNamedFields(value)) return undefined;
      return this.tag('bytes', JSON.stringify(type), base64(value.buffer, value.byteOffset, value.byteLength));
    }
    if (types.isArrayBuffer(value)) return this.tag('bytes', '"ArrayBuffer"', base64(value, 0, value.byteLength));
    if (Object.keys(value).length > 0) return undefined;
    if (types.isDate(value) && type === 'Date') return this.tag('date', this.write(value.getTime()));
    if (types.isMap(value) && type === 'Map') return this.tag('map', this.write([...value]));
    if (types.isSet(value) && type === 'Set') return this.tag('set', this.write([...value]));
    if (types.isRegExp(value) && type === 'RegExp') {
      return this.tag('regexp', JSON.stringify(value.source), JSON.stringify(value.flags), String(value.lastIndex));
    }
    if (value instanceof URL && type === 'URL') return this.tag('url', JSON.stringify(value.href));
    return undefined;
  }

  private writeInstance(value: object): string {
    if (!this.flatten || types.isPromise(value)) throw new Refusal(`an instance of ${classNameOf(value) || 'an unnamed class'}`);
    const { toJSON } = value as { toJSON?: unknown };
    return typeof toJSON === 'function' ? this.write(toJSON.call(value)) : this.writeFields(value);
  }

  private tag(type: string, ...content: string[]): string {
    this.tagged = true;
    return `{"$":[${[`"${type}"`, ...content].join(',')}]}`;
  }
}

const HOLE = '{"$":["hole"]}';

const BYTE_TYPES: Readonly<Record<string, (bytes: ArrayBuffer) => unknown>> = {
  ArrayBuffer: (bytes) => bytes,
  Buffer: (bytes) => Buffer.from(bytes),
  DataView: (bytes) => new DataView(bytes),
  Int8Array: (bytes) => new Int8Array(bytes),
  Uint8Array: (bytes) => new Uint8Array(bytes),
  Uint8ClampedArray: (bytes) => new Uint8ClampedArray(bytes),
  Int16Array: (bytes) => new Int16Array(bytes),
  Uint16Array: (bytes) => new Uint16Array(bytes),
  Int32Array: (bytes) => new Int32Array(bytes),
  Uint32Array: (bytes) => new Uint32Array(bytes),
  Float32Array: (bytes) => new Float32Array(bytes),
  Float64Array: (bytes) => new Float64Array(bytes),
  BigInt64Array: (bytes) => new BigInt64Array(bytes),
  BigUint64Array: (bytes) => new BigUint64Array(bytes),
};

/** Not a subclass, not even one of the same name: only the built-in prototypes say how long an element is. */
function isBuiltInView(view: ArrayBufferView, type: string | undefined): type is string {
  const prototype: unknown = Object.getPrototypeOf(view);
  if (type === 'Buffer') return prototype === Buffer.prototype;
  if (type === 'DataView') return prototype === DataView.prototype;
  return Object.hasOwn(BYTE_TYPES, type ?? '') && Object.hasOwn(prototype as object, 'BYTES_PER_ELEMENT');
}

/** From the prototype: a field of the answer itself may be called `constructor`. */
function classNameOf(value: object): string | undefined {
  return (Object.getPrototypeOf(value) as { constructor?: { name?: string } }).constructor?.name;
}

function base64(buffer: ArrayBufferLike, offset: number, length: number): string {
  return `"${Buffer.from(buffer, offset, length).toString('base64')}"`;
}

/** `Object.prototype` of this or another realm. */
function isPlainPrototype(prototype: object): boolean {
  return (
    prototype === Object.prototype ||
    (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf'))
  );
}

/** Works in place on what `JSON.parse` just made: an own `__proto__` field stays an own field. */
function revive(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (!Array.isArray(value) && Object.hasOwn(value, '$')) return untag((value as { $: [string, ...unknown[]] }).$);
  for (const key of Object.keys(value)) {
    const fields = value as Record<string, unknown>;
    const field = fields[key];
    if (isHole(field)) delete fields[key];
    else if (typeof field === 'object' && field !== null) fields[key] = revive(field);
  }
  return value;
}

function isHole(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (value as { $?: unknown[] }).$?.[0] === 'hole';
}

function untag([type, content, second, third]: [string, ...unknown[]]): unknown {
  switch (type) {
    case 'undefined':
      return undefined;
    case 'number':
      return Number(content);
    case 'bigint':
      return BigInt(content as string);
    case 'escaped':
      return reviveFields(content as object);
    case 'null-prototype':
      return Object.setPrototypeOf(reviveFields(content as object), null);
    case 'fields': {
      const object = Object.fromEntries(revive(content) as Array<[string, unknown]>);
      return second === 'null-prototype' ? Object.setPrototypeOf(object, null) : object;
    }
    case 'date':
      return new Date(revive(content) as number);
    case 'map':
      return new Map(revive(content) as Array<[unknown, unknown]>);
    case 'set':
      return new Set(revive(content) as unknown[]);
    case 'regexp':
      return Object.assign(new RegExp(content as string, second as string), { lastIndex: third });
    case 'url':
      return new URL(content as string);
    case 'bytes':
      return BYTE_TYPES[content as string]!(Uint8Array.from(Buffer.from(second as string, 'base64')).buffer);
    default:
      throw new TypeError(`unknown type tag ${type}`);
  }
}

/** The fields of an object whose own `$` is not a tag. */
function reviveFields(value: object): object {
  const fields = value as Record<string, unknown>;
  for (const key of Object.keys(fields)) fields[key] = revive(fields[key]);
  return value;
}
