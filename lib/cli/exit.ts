/** What the process says when it ends. */
export const EXIT = {
  /** Every request has its answer. */
  done: 0,
  /** Some requests failed, or lines were skipped. */
  incomplete: 1,
  /** Wrong usage, or a file that cannot be read or written. */
  refused: 2,
  /** Whoever read the standard output has left, as `| head` does; what a shell says of SIGPIPE. */
  nobodyReads: 141,
} as const;

/** Ends the command with a message for people and an exit code. */
export class CommandError extends Error {
  constructor(
    message: string,
    readonly exitCode: number = EXIT.refused,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A signal has asked the process to end. Its exit code is what a shell says of that signal. */
export class Interrupted extends CommandError {
  constructor(signal: 'SIGHUP' | 'SIGINT' | 'SIGTERM') {
    super('Interrupted. The same command goes on from here.', { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 }[signal]);
  }
}

const PLAIN_WORDS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of its path is no folder',
  EISDIR: 'it is a folder',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'it would be larger than is allowed',
};

/** Why a file cannot be used, in plain words where the code has some. */
export function fileProblem(verb: 'read' | 'write', file: string, error: unknown): CommandError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reason = code === undefined ? message : `${PLAIN_WORDS[code] ?? 'the system refuses'} (${code})`;
  return new CommandError(`Cannot ${verb} ${file}: ${reason}.`, EXIT.refused, { cause: error });
}
