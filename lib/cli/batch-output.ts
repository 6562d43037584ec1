import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { CommandError, EXIT, fileProblem } from './exit.js';

/** Where results go, a whole line at a time. */
export interface BatchOutput {
  /** @throws CommandError when it could not be written; nothing of the line is left then. */
  write(line: string): void | Promise<void>;
  close(): void;
}

/**
 * Appends to a file. A line that does not fit, on a full disk, is taken back.
 * Written synchronously: a line that has been asked for is in the file, whatever kills the process afterwards.
 */
export class FileOutput implements BatchOutput {
  private readonly descriptor: number;
  /** Where the last whole line ends; `undefined` for a pipe or a device, which cannot be cut. */
  private end: number | undefined;

  constructor(private readonly path: string) {
    try {
      this.descriptor = openSync(path, 'a');
      const status = fstatSync(this.descriptor);
      this.end = status.isFile() ? status.size : undefined;
    } catch (error) {
      throw fileProblem('write', path, error);
    }
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    try {
      for (let written = 0; written < bytes.length; ) written += writeSync(this.descriptor, bytes, written);
      if (this.end !== undefined) this.end += bytes.length;
    } catch (error) {
      if (this.end !== undefined) ftruncateSync(this.descriptor, this.end);
      throw problemOf(this.path, error);
    }
  }

  close(): void {
    try {
      if (this.end !== undefined) fsyncSync(this.descriptor);
    } catch (error) {
      throw fileProblem('write', this.path, error);
    } finally {
      closeSync(this.descriptor);
    }
  }
}

/** Writes to the standard output, as fast as it is read. */
export class StreamOutput implements BatchOutput {
  private failure: Error | undefined;

  constructor(private readonly stream: Writable) {
    stream.on('error', (error) => (this.failure ??= error));
  }

  write(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.failure !== undefined) return reject(problemOf('the standard output', this.failure));
      this.stream.write(line, (error) => (error ? reject(problemOf('the standard output', error)) : resolve()));
    });
  }

  close(): void {
    // The process's own.
  }
}

function problemOf(file: string, error: unknown): CommandError {
  const isLeft = (error as NodeJS.ErrnoException).code === 'EPIPE';
  return isLeft ? new CommandError('', EXIT.nobodyReads, { cause: error }) : fileProblem('write', file, error);
}
