// Breaks the core in named ways, one at a time and in copies of the project, and shows that the tests notice each.
// node scripts/mutants.mjs [part of a name ...]
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { mutants } from '../test/mutants/mutants.mjs';

const root = resolve(import.meta.dirname, '..');
const WORKERS = Math.min(4, availableParallelism());
/** A mutant may make a test wait for ever. That is noticing, too, but it has to end. */
const LONGEST_MS = 120_000;

const wanted = process.argv.slice(2);
const chosen = mutants.filter(({ name }) => wanted.every((part) => name.includes(part)));
const sandboxes = Array.from({ length: WORKERS }, makeSandbox);
process.once('exit', () => sandboxes.forEach((folder) => rmSync(folder, { recursive: true, force: true })));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

const unbroken = await inSandbox(sandboxes[0], [...new Set(chosen.flatMap(({ noticedBy }) => noticedBy))]);
if (chosen.length === 0 || unbroken.failed > 0 || unbroken.passed === 0) {
  console.error(chosen.length === 0 ? 'mutants: no such mutant' : 'mutants: the tests fail without any mutant');
  process.exit(1);
}

const waiting = chosen.entries();
const unnoticed = [];
await Promise.all(sandboxes.map(work));
console.log(`mutants: ${chosen.length - unnoticed.length} of ${chosen.length} noticed`);
for (const name of unnoticed) console.log(`mutants: NOT NOTICED: ${name}`);
process.exitCode = unnoticed.length > 0 ? 1 : 0;

async function work(sandbox) {
  for (const [index, mutant] of waiting) {
    const startedAtMs = performance.now();
    const noticed = await tryOut(mutant, sandbox);
    if (noticed === undefined) unnoticed.push(mutant.name);
    const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
    console.log(`${noticed === undefined ? 'MISSED ' : 'noticed'} ${String(index + 1).padStart(3)} ${mutant.name} (${noticed ?? mutant.noticedBy.join(', ')}, ${seconds} s)`);
  }
}

/** The first spec that notices; `undefined` when none does. */
async function tryOut({ file, from, to, noticedBy }, sandbox) {
  const path = join(sandbox, 'lib', file);
  const source = readFileSync(path, 'utf8');
  if (source.split(from).length !== 2) throw new Error(`mutants: ${file} does not hold exactly once: ${from}`);
  writeFileSync(path, source.replace(from, () => to));
  try {
    for (const spec of noticedBy) {
      const { failed, broken } = await inSandbox(sandbox, [spec]);
      if (failed > 0 && !broken) return spec;
    }
    return undefined;
  } finally {
    writeFileSync(path, source);
  }
}

/** Runs specs in a copy of the project. `broken`: a spec did not run at all. */
function inSandbox(sandbox, specs) {
  const report = join(sandbox, 'report.json');
  rmSync(report, { force: true });
  const patterns = specs.map((spec) => `/test/${spec}\\.spec\\.ts$`);
  const child = spawn(
    process.execPath,
    ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js',
      '--runInBand', '--bail=1', '--forceExit', '--silent', '--reporters=default', '--json', `--outputFile=${report}`, ...patterns],
    { cwd: sandbox, stdio: 'ignore' },
  );
  const timer = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS);
  return new Promise((done) => {
    child.once('exit', () => {
      clearTimeout(timer);
      done(readReport(report));
    });
  });
}

function readReport(report) {
  try {
    const { numPassedTests: passed, numFailedTests: failed, numRuntimeErrorTestSuites: errors } = JSON.parse(readFileSync(report, 'utf8'));
    return { passed, failed, broken: errors > 0 };
  } catch {
    return { passed: 0, failed: 1, broken: false }; // it did not end
  }
}

/** The project's files, with its node_modules. */
function makeSandbox() {
  const folder = mkdtempSync(join(tmpdir(), 'llm-cache-mutants-'));
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
  for (const file of files.split('\0').filter(Boolean)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    cpSync(join(root, file), join(folder, file));
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}
