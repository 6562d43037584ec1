import { setMaxListeners } from 'node:events';

/** The work's result, or a rejection with `signal.reason` as soon as the caller aborts. The work itself goes on. */
export function untilAborted<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    setMaxListeners(0, signal); // one request may make many calls
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    work.finally(() => signal.removeEventListener('abort', onAbort)).then(resolve, reject);
  });
}
