import { linkSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Enough to look into what happened; more would fill the disk of a machine that damages files again and again. */
export const KEPT_DAMAGED_FILES = 3;

/** The WAL goes first: beside a new file, the old one's would be taken for its own. */
const SUFFIXES = ['-wal', '-shm', ''];

/**
 * Renames a damaged database to `*.corrupt-<time>` and removes the oldest of its kind.
 * @returns the new name; `undefined` when another process has just put a file of its own there, which stays.
 */
export function setAside(path: string, identity: string | undefined): string | undefined {
  const aside = `${path}.corrupt-${new Date().toISOString().replaceAll(':', '-')}`;
  for (const suffix of SUFFIXES) renameIfThere(path + suffix, aside + suffix);
  if (identityOf(aside) !== identity) {
    putBack(path, aside);
    return undefined;
  }
  removeOldest(path);
  return aside;
}

/** Tells one file from another that has its name; `undefined` where there is none. */
export function identityOf(path: string): string | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && `${stats.dev}:${stats.ino}`;
}

/** Another process may have been quicker by a hair. */
function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Linking, unlike renaming, replaces nothing. */
function putBack(path: string, aside: string): void {
  for (const suffix of ['', '-wal', '-shm']) {
    try {
      linkSync(aside + suffix, path + suffix);
      rmSync(aside + suffix);
    } catch {
      // There is none, or a third process has started a file by now.
    }
  }
}

function removeOldest(path: string): void {
  const folder = dirname(path);
  const start = `${basename(path)}.corrupt-`;
  const damaged = readdirSync(folder).filter((name) => name.startsWith(start) && name.endsWith('Z'));
  // The time is written so that the order of names is that of time.
  for (const name of damaged.sort().slice(0, -KEPT_DAMAGED_FILES)) {
    for (const suffix of SUFFIXES) rmSync(join(folder, name + suffix), { force: true });
  }
}
