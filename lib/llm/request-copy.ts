/**
 * The request as it is now, whatever its owner does to it later. Instances of classes stay themselves: a structured clone
 * of one has lost its class, and what the class hides, so that two would look the same.
 */
export function requestCopy<Request extends object>(request: Request): Request {
  try {
    return copyOf(request, new Map()) as Request;
  } catch {
    return { ...request }; // too deep to be walked, and so it has no key either
  }
}

/** @param copies of what has been met, so that what is shared stays shared, and a cycle ends */
function copyOf(value: unknown, copies: Map<object, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (copies.has(value)) return copies.get(value);
  const copy = shallowCopyOf(value) as Record<string, unknown>;
  copies.set(value, copy);
  if (copy === value || !isPlain(value)) return copy;
  for (const field of Object.keys(copy)) copy[field] = copyOf(copy[field], copies);
  return copy;
}

function shallowCopyOf(value: object): object {
  if (isPlain(value)) return Array.isArray(value) ? Object.assign(value.slice(), value) : { ...value };
  switch (Object.getPrototypeOf(value)) {
    case Date.prototype:
      return new Date(value as unknown as number);
    case URL.prototype:
      return new URL(value);
    case Buffer.prototype:
      return Buffer.from(value as Buffer);
    case Uint8Array.prototype:
      return Uint8Array.from(value as Uint8Array);
    default:
      return value;
  }
}

/** Arrays and objects of any realm that are of no class. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return Array.isArray(value) ? Array.isArray(prototype) : prototype === null || Object.getPrototypeOf(prototype) === null;
}
