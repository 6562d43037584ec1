import { execFile } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from '@jest/globals';
import { compileForChild } from '../fixtures/sqlite/compile-for-child.js';

const SCRIPT = fileURLToPath(new URL('../../scripts/sqlite-fire.mjs', import.meta.url));

it('thousands of entries: bounds hold, what expired goes, the WAL is truncated and the file shrinks', async () => {
  const compiled = await compileForChild();
  const parameters = ['--disable-warning=ExperimentalWarning', SCRIPT, '3000', pathToFileURL(compiled.entry).href];
  const { stdout } = await promisify(execFile)(process.execPath, parameters);
  await compiled.remove();
  expect(stdout).toContain('sqlite-fire: 3000 entries, all bounds held');
}, 30_000);
