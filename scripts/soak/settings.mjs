// What the workers are configured with, and what the model therefore expects. Milliseconds.

export const WORKERS = 4;
/** `maxInvalidationDelay`: the stated bound. */
export const BOUND_MS = 1_000;
/** `singleFlight.lease`. */
export const LEASE_MS = 1_000;
/** `singleFlight.timeout`. */
export const FOLLOWER_TIMEOUT_MS = 8_000;
/** `storeTimeout`. */
export const STORE_TIMEOUT_MS = 250;
/** Within this long after a fault of Redis, or of a worker, the worker has to say that it is well. */
export const RECOVERY_MS = 8_000;
/** Nobody waits longer than this for an answer, but a worker that was frozen meanwhile. */
export const LONGEST_CALL_MS = 15_000;
/** Most growth of the heap after a full collection, once warm, of the worker that lives through the whole run. */
export const HEAP_GROWTH_BYTES = 4 * 1024 ** 2;
