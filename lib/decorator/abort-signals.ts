import { isRecord } from '../core/check-options.js';

/** The arguments of a call with its abort signal apart. */
export interface SignalFree {
  /** The caller's own signal. */
  signal: AbortSignal | undefined;
  /** The arguments as the key sees them: a signal cannot change the answer. */
  argsForKey: unknown[];
  /** The arguments as the method gets them, redacted or not, with the signal that stands for all callers. */
  argsWith: (shared: AbortSignal, redacted?: unknown[]) => unknown[];
}

/**
 * Finds the abort signal among the arguments, or in the `signal` field of one. The method gets the shared signal in
 * its place: were it handed its leader's own, one caller's abort would take the answer from the others.
 */
export function takeSignal(args: unknown[]): SignalFree {
  let place = 0;
  while (place < args.length && signalAt(args, place) === undefined) place++;
  if (place === args.length) return { signal: undefined, argsForKey: args, argsWith: (_shared, redacted = args) => redacted };
  const argsWith = (shared: AbortSignal | undefined, given: unknown[] = args): unknown[] =>
    given.with(place, args[place] instanceof AbortSignal ? shared : { ...(given[place] as object), signal: shared });
  return { signal: signalIn(args[place]), argsForKey: argsWith(undefined), argsWith };
}

/** Arguments that cannot be looked into are none of ours; the key will refuse them. */
function signalAt(args: readonly unknown[], place: number): AbortSignal | undefined {
  try {
    return signalIn(args[place]);
  } catch {
    return undefined;
  }
}

function signalIn(argument: unknown): AbortSignal | undefined {
  if (!isRecord(argument)) return undefined;
  if (argument instanceof AbortSignal) return argument;
  const { signal } = argument;
  return signal instanceof AbortSignal && isPlain(argument) ? signal : undefined;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
