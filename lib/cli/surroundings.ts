import type { Writable } from 'node:stream';
import type { WriteStream } from 'node:tty';

/** What a process has around it. */
export interface Surroundings {
  readonly environment: NodeJS.ProcessEnv;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Pick<WriteStream, 'write'> & { readonly isTTY?: boolean };
  /** Aborts with the error that ends the command. */
  readonly signal: AbortSignal;
}
