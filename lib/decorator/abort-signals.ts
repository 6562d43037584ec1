import { isRecord } from '../core/check-options.js';

/** The arguments of a call with its abort signal apart. */
export interface SignalFree {
  /** The caller's own signal. */
  signal: AbortSignal | undefined;
  /** The arguments as the key sees them: a signal cannot change the answer. */
  argsForKey: unknown[];
  /** The arguments as the method gets them, with the signal that stands for all callers. */
  argsWith: (shared: AbortSignal) => unknown[];
}

/**
 * Finds the abort signal among the arguments, or in the `signal` field of one. The method gets the shared signal in
 * its place: were it handed its leader's own, one caller's abort would take the answer from the others.
 */
export function takeSignal(args: unknown[]): SignalFree {
  const place = args.findIndex((argument) => signalIn(argument) !== undefined);
  if (place < 0) return { signal: undefined, argsForKey: args, argsWith: () => args };
  const argsWith = (shared: AbortSignal | undefined): unknown[] =>
    args.with(place, args[place] instanceof AbortSignal ? shared : { ...(args[place] as object), signal: shared });
  return { signal: signalIn(args[place]), argsForKey: argsWith(undefined), argsWith };
}

function signalIn(argument: unknown): AbortSignal | undefined {
  if (argument instanceof AbortSignal) return argument;
  if (!isRecord(argument) || !isPlain(argument)) return undefined;
  return argument['signal'] instanceof AbortSignal ? argument['signal'] : undefined;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
