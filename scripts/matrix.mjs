// Runs the whole suite on the other Nodes and the other Nest that package.json promises, in copies of the project:
// node scripts/matrix.mjs [--all] [--only <part of a cell's name, such as 24 or 'nest 11'> ...]
// Node comes from npm's package `node`. What `npm test` runs is left out without --all.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { nodeOf, npm } from './other-node.mjs';

const root = resolve(import.meta.dirname, '..');
const LONGEST_MS = 900_000;
/** npm's own record of what is installed: the one file of node_modules that it writes into, where it replaces the others. */
const RECORD = '.package-lock.json';

const NEST_11 = ['core@11', 'common@11', 'platform-express@11', 'testing@11', 'config@4', 'cache-manager@3'].map((name) => `@nestjs/${name}`);

/** `extra`: only with --all. */
const CELLS = [
  { name: 'node 20 nest 11', node: 20, nest: 11 },
  { name: 'node 22 nest 12', node: 22, nest: 12 },
  { name: 'node 24 nest 12', node: 24, nest: 12 },
  { name: 'node 20 nest 12', node: 20, nest: 12 },
  { name: 'node 24 nest 11', node: 24, nest: 11, extra: true },
];
/** `npm test` runs it. */
const OWN_CELL = `node ${process.versions.node.split('.')[0]} nest 12`;

const { all, only } = readArguments(process.argv.slice(2));
const chosen = CELLS.filter(({ name, extra }) => (only.length > 0 ? only.every((part) => name.includes(part)) : all || (!extra && name !== OWN_CELL)));
if (chosen.length === 0) fail(`no such cell: ${only.join(' ')}`);

const sandboxes = mkdtempSync(join(tmpdir(), 'llm-cache-matrix-'));
const running = new Set();
process.once('exit', () => {
  for (const child of running) end(child);
  rmSync(sandboxes, { recursive: true, force: true, maxRetries: 3 });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

for (const major of new Set(chosen.map(({ node }) => node))) await nodeOf(major); // one npm after the other

const results = [];
for (const cell of chosen) results.push(await runCell(cell)); // one after the other: Jest takes all cores

const most = Math.max(testsOfLastRun(), ...results.map(({ passed }) => passed));
const wrong = results.filter(({ passed, failed, skipped, ended }) => !ended || failed > 0 || skipped > 0 || passed < most || passed === 0);
for (const { name, passed, failed, skipped } of wrong) console.log(`matrix: FAILED: ${name}: ${passed} of ${most} passed, ${failed} failed, ${skipped} skipped`);
console.log(`matrix: ${results.length - wrong.length} of ${chosen.length} cells passed`);
process.exit(wrong.length > 0 ? 1 : 0);

function readArguments(words) {
  const at = words.indexOf('--only');
  return { all: words.includes('--all'), only: at < 0 ? [] : words.slice(at + 1).filter((word) => !word.startsWith('--')) };
}

async function runCell({ name, node, nest }) {
  const startedAtMs = performance.now();
  const folder = join(sandboxes, name.replaceAll(' ', '-'));
  await makeSandbox(folder, nest);
  const preparedAtMs = performance.now();
  const { binary, version } = await nodeOf(node);
  const report = join(folder, 'report.json');
  const { code, output } = await jest(binary, folder, report);
  const counts = readReport(report);
  console.log(
    `matrix: node ${version}, nest ${versionOf(folder, '@nestjs/core')}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped, ` +
      `${inSeconds(performance.now() - preparedAtMs)} s (and ${inSeconds(preparedAtMs - startedAtMs)} s to prepare)`,
  );
  if (code !== 0) console.log(output.slice(Math.max(0, output.indexOf('Summary of all failing tests'))));
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  return { name, ...counts, ended: code === 0 };
}

function inSeconds(milliseconds) {
  return Math.round(milliseconds / 1000);
}

/** A reporter of its own, because the project's writes the tally of `npm test` into node_modules. */
function jest(binary, folder, report) {
  const child = spawn(
    binary,
    ['--max-old-space-size=6144', '--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js',
      '--reporters=default', '--json', `--outputFile=${report}`],
    // The PATH is for what a test may start by name.
    { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], detached: process.platform !== 'win32', env: { ...process.env, PATH: `${dirname(binary)}:${process.env['PATH']}` } },
  );
  running.add(child);
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (output += text));
  const timer = setTimeout(() => end(child), LONGEST_MS);
  return new Promise((done) => {
    child.once('close', (code) => {
      clearTimeout(timer);
      running.delete(child);
      done({ code, output });
    });
  });
}

/** With its grandchildren. */
function end(child) {
  try {
    if (process.platform === 'win32') child.kill();
    else process.kill(-child.pid, 'SIGKILL');
  } catch {
    // it had ended
  }
}

function readReport(report) {
  try {
    const found = JSON.parse(readFileSync(report, 'utf8'));
    return {
      passed: found.numPassedTests,
      failed: found.numFailedTests + found.numRuntimeErrorTestSuites,
      skipped: found.numPendingTests + found.numTodoTests,
    };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }; // it did not end
  }
}

/** How many tests `npm test` ran last; fewer in a cell means that some did not run there. */
function testsOfLastRun() {
  try {
    return JSON.parse(readFileSync(join(root, 'node_modules/.cache/test-tally.json'), 'utf8')).passed;
  } catch {
    return 0;
  }
}

/** The project's files. Nest 12 is what is installed; for another, npm changes a copy of node_modules. */
async function makeSandbox(folder, nest) {
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
  for (const file of files.split('\0').filter((name) => name !== '' && existsSync(join(root, name)))) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    cpSync(join(root, file), join(folder, file));
  }
  if (nest === 12) {
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), process.platform === 'win32' ? 'junction' : 'dir');
    return;
  }
  copyModules(folder);
  await npm(folder, ['install', '--no-save', '--no-package-lock', '--legacy-peer-deps', '--ignore-scripts', ...NEST_11]);
  if (!versionOf(folder, '@nestjs/core').startsWith('11.')) fail('npm did not install Nest 11');
  if (versionOf(root, '@nestjs/core').startsWith('11.')) fail('npm changed node_modules of the project');
}

/** By hard links where the temporary folder is on the same disk. */
function copyModules(folder) {
  const [from, to] = [join(root, 'node_modules'), join(folder, 'node_modules')];
  if (spawnSync('cp', ['-al', from, to], { stdio: 'ignore' }).status !== 0) {
    rmSync(to, { recursive: true, force: true });
    cpSync(from, to, { recursive: true, verbatimSymlinks: true });
  }
  rmSync(join(to, '.cache'), { recursive: true, force: true });
  rmSync(join(to, RECORD), { force: true });
  if (existsSync(join(from, RECORD))) cpSync(join(from, RECORD), join(to, RECORD));
}

function versionOf(folder, name) {
  return JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')).version;
}

function fail(message) {
  console.error(`matrix: ${message}`);
  process.exit(1);
}
