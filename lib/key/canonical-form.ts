import { types } from 'node:util';
import { digest } from './digest.js';

/**
 * The canonical form of a value: one text for logically equal values, and never the same text for two that differ.
 *
 * It is a prefix code. Every value starts with a letter for its type, and every text carries its length in front
 * (`s5:hello`), so that no content can imitate a boundary and nothing has to be escaped. Object keys are sorted by
 * UTF-16 code unit, as in RFC 8785. Whatever cannot be told apart throws a {@link Refusal}.
 *
 * This is a storage format: a change makes every stored answer unreachable. `test/fixtures/key-vectors.json` pins it.
 */
export function canonicalForm(value: unknown, given: Budget = { nodes: MAX_NODES, characters: MAX_CHARACTERS }): string {
  if (typeof value !== 'object' || value === null) return write(value);
  const [outerBudget, outerAncestors] = [budget, ancestors];
  budget = given;
  ancestors = [];
  try {
    return writeObject(value);
  } finally {
    // A toJSON of the caller's may derive a key itself.
    budget = outerBudget;
    ancestors = outerAncestors;
  }
}

/** How much may still be walked. Shared references let a small value unfold into a huge one. */
export interface Budget {
  nodes: number;
  characters: number;
}

/** Deeper values are refused, before the stack overflows. */
export const MAX_DEPTH = 200;
/** Larger values are refused: they would hold the event loop for too long. */
const MAX_NODES = 250_000;
const MAX_CHARACTERS = 64 * 1024 * 1024;

/** A value with no canonical form. Says what it is, never what it holds. */
export class Refusal extends Error {
  constructor(readonly problem: string) {
    super(problem);
  }
}

/** State of the walk under way; it never spans an `await`. */
let budget: Budget = { nodes: 0, characters: Infinity };
let ancestors: object[] = [];

function write(value: unknown): string {
  switch (typeof value) {
    case 'string':
      if ((budget.characters -= value.length) < 0) throw new Refusal('made of too much text');
      return 's' + value.length + ':' + value; // as a template it is a third slower
    case 'number':
      return writeNumber(value);
    case 'boolean':
      return value ? 't' : 'f';
    case 'undefined':
      return 'u';
    case 'bigint':
      return `i${value};`;
    case 'function':
      throw new Refusal('a function');
    case 'symbol':
      throw new Refusal('a symbol');
    default:
      return value === null ? 'n' : writeObject(value as object);
  }
}

/** -0 prints as 0, and 1.0 as 1; both pairs are equal in JavaScript too. */
function writeNumber(value: number): string {
  if (Number.isFinite(value)) return `d${value};`;
  return Number.isNaN(value) ? 'dNaN;' : value > 0 ? 'dInfinity;' : 'd-Infinity;';
}

function writeObject(value: object): string {
  if (ancestors.length >= MAX_DEPTH) throw new Refusal(`nested deeper than ${MAX_DEPTH} levels`);
  if (ancestors.includes(value)) throw new Refusal('a cycle');
  countNodes(1);
  ancestors.push(value);
  const text = writeContent(value);
  ancestors.pop();
  return text;
}

function countNodes(count: number): void {
  budget.nodes -= count;
  if (budget.nodes < 0) throw new Refusal(`made of more than ${MAX_NODES} values`);
}

function writeContent(value: object): string {
  if (Array.isArray(value)) return writeArray(value);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype) return writeFields(value);
  return writeBuiltIn(value) ?? (prototype === null ? writeFields(value) : writeInstance(value, prototype as object));
}

/** Hidden ones count as little as other hidden fields do; the AI SDK puts one on each tool call. */
export function refuseSymbolKeys(value: object): void {
  for (const symbol of Object.getOwnPropertySymbols(value)) {
    if (Object.prototype.propertyIsEnumerable.call(value, symbol)) throw new Refusal('an object with symbol keys');
  }
}

function writeArray(array: readonly unknown[]): string {
  refuseSymbolKeys(array);
  if (!Array.isArray(Object.getPrototypeOf(array))) throw new Refusal('an instance of a subclass of Array');
  countNodes(array.length);
  let text = `a${array.length}:`;
  let present = array.length;
  for (let index = 0; index < array.length; index++) {
    const element = array[index];
    if (element === undefined && !(index in array)) {
      text += 'h';
      present--;
    } else {
      text += write(element);
    }
  }
  if (Object.keys(array).length !== present) throw new Refusal('an array with named fields');
  return text;
}

/** A field that is `undefined` equals an absent one; `null` does not. */
function writeFields(value: object): string {
  refuseSymbolKeys(value);
  const keys = sorted(Object.keys(value));
  countNodes(keys.length);
  let text = 'o';
  for (const key of keys) {
    const field: unknown = (value as Record<string, unknown>)[key];
    if (field !== undefined) text += writeKey(key) + write(field);
  }
  return `${text}.`;
}

const writtenKeys = new Map<string, string>();

/** Field names repeat from request to request; their texts are kept. */
function writeKey(key: string): string {
  let text = writtenKeys.get(key);
  if (text === undefined) {
    text = `${key.length}:${key}`;
    if (writtenKeys.size < 1_000 && key.length < 64) writtenKeys.set(key, text);
  }
  return text;
}

/** Insertion sort: request objects have a handful of fields, often in the same order already. */
function sorted(keys: string[]): string[] {
  if (keys.length > 24) return keys.sort();
  for (let index = 1; index < keys.length; index++) {
    const key = keys[index]!;
    let place = index;
    for (; place > 0 && keys[place - 1]! > key; place--) keys[place] = keys[place - 1]!;
    keys[place] = key;
  }
  return keys;
}

/** Maps and sets keep their order: a method can see it. Bytes enter as a digest with the name of their type. */
function writeBuiltIn(value: object): string | undefined {
  if (types.isDate(value) || types.isMap(value) || types.isSet(value) || types.isRegExp(value) || value instanceof URL || ArrayBuffer.isView(value)) {
    refuseSymbolKeys(value);
    if (isOfSubclass(value)) throw new Refusal(`an instance of a subclass of ${typeName(value)}`);
    if (hasNamedFields(value)) throw new Refusal(`a ${typeName(value)} with fields of its own`);
  }
  if (types.isDate(value)) return `D${write(value.getTime())}`;
  if (types.isMap(value)) return `M${writeArray([...value].flat(1))}`;
  if (types.isSet(value)) return `S${writeArray([...value])}`;
  if (types.isRegExp(value)) return `R${write(value.source)}${write(value.flags)}${write(value.lastIndex)}`;
  if (value instanceof URL) return `U${write(value.href)}`;
  if (ArrayBuffer.isView(value)) {
    return writeBytes(typeName(value), new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  }
  if (types.isAnyArrayBuffer(value)) return writeBytes(typeName(value), new Uint8Array(value));
  return undefined;
}

function writeBytes(type: string, bytes: Uint8Array): string {
  return `B${type.length}:${type}${bytes.byteLength}:${digest(bytes)}`;
}

function typeName(value: object): string {
  return Buffer.isBuffer(value) ? 'Buffer' : Object.prototype.toString.call(value).slice(8, -1);
}

/** An instance counts by `toJSON`, else by its own enumerable fields; one that shows neither is refused. */
function writeInstance(value: object, prototype: object): string {
  const problem = hiddenContent(value);
  if (problem !== undefined) throw new Refusal(problem);
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === 'function') return write(toJSON.call(value));
  if (isPlainElsewhere(prototype)) return writeFields(value);
  if (Object.keys(value).length === 0) throw new Refusal('an instance whose state cannot be seen');
  if (inheritsData(value)) throw new Refusal('an object with data on its prototype');
  return writeFields(value);
}

/** A subclass may hold what its content does not show. Built-in prototypes sit right above `Object.prototype`, bytes one higher. */
function isOfSubclass(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (ArrayBuffer.isView(value)) return prototype === null || !(Object.hasOwn(prototype, 'BYTES_PER_ELEMENT') || prototype === Buffer.prototype || value instanceof DataView);
  return prototype === null || Object.getPrototypeOf(Object.getPrototypeOf(prototype) ?? prototype) !== null;
}

/** Looking at the fields of long bytes would take far longer than hashing them; nobody gives those names. */
const MAX_BYTES_LOOKED_AT = 1_024;

/** Whether a built-in carries fields of its own beside its content. */
export function hasNamedFields(value: object): boolean {
  if (!ArrayBuffer.isView(value) || value instanceof DataView) return Object.keys(value).length > 0;
  const { length } = value as Uint8Array;
  return length <= MAX_BYTES_LOOKED_AT && Object.keys(value).length > length;
}

/** `Object.create(defaults)` and the like: a method would read what no own field shows. */
function inheritsData(value: object): boolean {
  for (const name in value) {
    if (!Object.hasOwn(value, name) && typeof (value as Record<string, unknown>)[name] !== 'function') return true;
  }
  return false;
}

/** What an instance is when its content is not in its fields; `undefined` when it may be. */
function hiddenContent(value: object): string | undefined {
  if (types.isPromise(value) || hasMethod(value, 'then')) return 'a promise';
  if (hasMethod(value, Symbol.asyncIterator, 'pipe', 'getReader', 'subscribe', 'next')) return 'a stream';
  if (types.isNativeError(value)) return 'an error';
  if (types.isBoxedPrimitive(value)) return 'a boxed primitive';
  return undefined;
}

function hasMethod(value: object, ...names: PropertyKey[]): boolean {
  return names.some((name) => typeof (value as Record<PropertyKey, unknown>)[name] === 'function');
}

/** `Object.prototype` of another realm, such as a `vm` context. */
function isPlainElsewhere(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf');
}
