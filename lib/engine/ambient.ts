import { AsyncLocalStorage } from 'node:async_hooks';
import type { CacheControl } from '../core/types.js';
import { mergeCacheControl } from '../policy/cache-control.js';
import type { CallFrame } from './call-frame.js';

interface Ambient {
  readonly control?: CacheControl | undefined;
  readonly frame?: CallFrame | undefined;
}

/** One per process, under a registered symbol, so that the ESM and the CJS copy of the package see the same call. */
const STORAGE = Symbol.for('nestjs-llm-cache:ambient');
const registry = globalThis as { [STORAGE]?: AsyncLocalStorage<Ambient> };
const storage = (registry[STORAGE] ??= new AsyncLocalStorage<Ambient>());

/** What surrounds the code that is running: the cache control of `withCacheControl`, and the call it runs inside. */
export function ambient(): Ambient {
  const present = storage.getStore();
  return present === undefined || present.frame?.ended ? NOTHING : present;
}

const NOTHING: Ambient = {};

/**
 * Runs a function; every cached call inside it, however deep, follows this control.
 *
 * @example
 * const fresh = await withCacheControl({ noCache: true }, () => tickets.summary(text));
 */
export function withCacheControl<T>(control: CacheControl, run: () => T): T {
  const { frame, control: outer } = ambient();
  return storage.run({ frame, control: mergeCacheControl(outer, control) }, run);
}

/** Runs what is no part of the call under way: in the frame given, and under no control. */
export function runApart<T>(frame: CallFrame | undefined, run: () => T): T {
  return storage.run({ frame }, run);
}

/** Runs the function that computes an answer inside its frame. */
export function runInFrame<T>(frame: CallFrame, control: CacheControl, run: () => T): T {
  return storage.run({ frame, control }, run);
}
