import fc from 'fast-check';

/** Text with what breaks encoders: lone surrogates, pairs, quotes, the letters and digits of our own formats. */
const unit = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 's', 'o', 'd', 'u', 'n', '0', '1', '2', ':', ';', '.', '$', '"', '\\', '\n', ' ') },
  { weight: 2, arbitrary: fc.constantFrom('\ud800', '\ud801', '\udc00', '\udfff', '\ufffd', '\u2028', '\0', 'é', '中') },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }) },
);

export const text = fc.string({ unit, maxLength: 6 });

const fieldName = fc.oneof(fc.constantFrom('a', 'b', '$', '__proto__', 'constructor', 'toJSON', 'then', '', '1', '10'), text);

const number = fc.oneof(
  fc.constantFrom(0, -0, 1, -1, 12, 1.5, Number.NaN, Infinity, -Infinity, 2 ** 53, 1e21, 5e-324),
  fc.double(),
  fc.integer(),
);

const bytes = fc.uint8Array({ maxLength: 8 });

const leaf: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: text },
  { weight: 4, arbitrary: number },
  { weight: 3, arbitrary: fc.constantFrom<unknown>(null, undefined, true, false) },
  { weight: 1, arbitrary: fc.oneof(fc.constantFrom(0n, 1n, 12n), fc.bigInt()) },
  { weight: 1, arbitrary: fc.date({ noInvalidDate: false }) },
  { weight: 1, arbitrary: fc.constantFrom(new Date(0), new Date(1), new Date(Number.NaN)) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom('a', 'b+', '[/]', ''), fc.constantFrom('', 'g', 'gi', 'u')).map(([source, flags]) => new RegExp(source, flags)) },
  { weight: 1, arbitrary: fc.webUrl().map((address) => new URL(address)) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom(Buffer, Uint8Array, Int8Array, Uint8ClampedArray, Uint16Array, Float32Array, BigInt64Array), bytes).map(
      ([type, content]) => {
        const size = type === BigInt64Array ? 8 : 4;
        const memory = Uint8Array.from({ length: Math.ceil(content.length / size) * size }, (_, index) => content[index] ?? 0).buffer;
        return type === Buffer ? Buffer.from(content) : new (type as unknown as new (from: ArrayBuffer) => unknown)(memory);
      },
    ),
  },
  { weight: 1, arbitrary: bytes.map((content) => Uint8Array.from(content).buffer) },
  { weight: 1, arbitrary: bytes.map((content) => new DataView(Uint8Array.from(content).buffer)) },
);

const HOLE = Symbol('hole');

function arrayOf(items: unknown[]): unknown[] {
  const array: unknown[] = [];
  array.length = items.length;
  for (const [index, item] of items.entries()) if (item !== HOLE) array[index] = item;
  return array;
}

export function objectOf(fields: ReadonlyArray<readonly [string, unknown]>, prototype: object | null = Object.prototype): object {
  const object = Object.create(prototype) as object;
  for (const [key, value] of fields) {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  }
  return object;
}

/** What the codec writes for a type, as data somebody's model may have said. */
const tagLike = fc.constantFrom<unknown>(['date', 1], ['hole'], ['undefined'], ['escaped', { $: 1 }], ['map', [[1, 2]]], ['bytes', 'Buffer', 'AA=='], [], 'date', null);

/** Everything that has a canonical form and comes back from the store. */
export const value: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown; fields: Array<[string, unknown]> }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'value' },
    leaf,
    fc.array(fc.oneof({ weight: 8, arbitrary: tie('value') }, { weight: 1, arbitrary: fc.constant(HOLE) }), { maxLength: 4 }).map(arrayOf),
    tie('fields').map((fields) => objectOf(fields)),
    tie('fields').map((fields) => objectOf(fields, null)),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 3 }).map((members) => new Set(members)),
    fc.oneof(tagLike, tie('value')).map(($) => ({ $ })),
    fc.tuple(tagLike, tie('value')).map(([$, other]) => ({ $, other })),
  ),
  fields: fc.array(fc.tuple(fieldName, tie('value')), { maxLength: 5 }),
})).value;

/** The same value with the fields of every object in another order. */
export function reordered(given: unknown): unknown {
  if (typeof given !== 'object' || given === null) return given;
  if (Array.isArray(given)) return given.map(reordered);
  if (given instanceof Map) return new Map([...given].map(([key, field]) => [reordered(key), reordered(field)]));
  if (given instanceof Set) return new Set([...given].map(reordered));
  const prototype = Object.getPrototypeOf(given) as object | null;
  if (prototype !== Object.prototype && prototype !== null) return given;
  const fields = Object.entries(given).map(([key, field]) => [key, reordered(field)] as const);
  return objectOf(fields.reverse(), prototype);
}
