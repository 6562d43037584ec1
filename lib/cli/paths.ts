import { existsSync, realpathSync, statSync, type BigIntStats } from 'node:fs';
import { resolve } from 'node:path';
import type { BatchFlags } from './arguments.js';
import { CommandError, fileProblem } from './exit.js';

/** Stands for standard input and standard output. */
export const STANDARD = '-';

/**
 * The output file as the system knows it, behind its links; `-` stays.
 * @throws CommandError when one file would be two things at once, which would destroy it.
 */
export function checkedOutput(input: string, { out, store }: BatchFlags): string {
  if (input !== STANDARD) checkReadable(input);
  const database = store.kind === 'sqlite' ? store.path : undefined;
  if (isSame(input, out)) throw new CommandError(`${out} is the input; the output must be another file.`);
  if (isSame(database, out)) throw new CommandError(`${out} is the store; the output must be another file.`);
  if (isSame(database, input)) throw new CommandError(`${input} is the store; the input must be another file.`);
  return out !== STANDARD && existsSync(out) ? realpathSync(out) : out;
}

function checkReadable(path: string): void {
  try {
    if (statSync(path).isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' });
  } catch (error) {
    throw fileProblem('read', path, error);
  }
}

/** By name, or by what the name leads to. */
function isSame(a: string | undefined, b: string): boolean {
  if (a === undefined || a === STANDARD || b === STANDARD) return false;
  if (resolve(a) === resolve(b)) return true;
  const [one, other] = [statusOf(a), statusOf(b)];
  return one !== undefined && one.isFile() && one.dev === other?.dev && one.ino === other.ino;
}

/** `undefined` where nothing can be reached by that name. */
function statusOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return undefined;
  }
}

/** Whether a file of results may be there from an earlier run; a pipe or a device holds none. */
export function mayHoldResults(output: string): boolean {
  return output !== STANDARD && (statusOf(output)?.isFile() ?? false);
}
