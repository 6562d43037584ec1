// Runs Keyv's own tests (@keyv/test-suite) over memoryStore and sqliteStore of the built package: npm run test:keyv
// They live in a folder with a lock of its own, because they bring a sqlite3 that compiles for a minute where scripts may run.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = new URL('../test/keyv-suite/', import.meta.url);
const report = new URL('node_modules/.report.json', folder);

/** 38 of the interface and 4 of the iterator, over each of two stores, as the factory's Keyv and as the adapter of another. */
const EXPECTED = (38 + 4) * 2 * 2;

function run(command) {
  const { status } = spawnSync(command, { cwd: fileURLToPath(folder), stdio: 'inherit', shell: true });
  return status === 0;
}

const modifiedMs = (path) => statSync(new URL(path, folder), { throwIfNoEntry: false })?.mtimeMs ?? 0;
const isInstalled = () => modifiedMs('node_modules/.package-lock.json') > modifiedMs('package-lock.json');

function counted() {
  try {
    const { numPassedTests: passed, numFailedTests: failed } = JSON.parse(readFileSync(report, 'utf8'));
    return { passed, failed };
  } catch {
    return { passed: 0, failed: 0 }; // vitest did not get as far as to write it
  }
}

if (!isInstalled() && !run('npm ci --ignore-scripts --no-audit --no-fund')) {
  console.error('keyv-suite: could not be installed');
  process.exit(1);
}
rmSync(report, { force: true });
const ended = run(`node node_modules/vitest/vitest.mjs run --reporter=dot --reporter=json --outputFile.json="${fileURLToPath(report)}"`);
const { passed, failed } = counted();
console.log(`keyv-suite: ${passed} of ${EXPECTED} passed, ${failed} failed: @keyv/test-suite over memoryStore and sqliteStore`);
process.exitCode = ended && failed === 0 && passed === EXPECTED ? 0 : 1;
