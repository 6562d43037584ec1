import { existsSync, mkdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

const cache = resolve(import.meta.dirname, '../node_modules/.cache/matrix');
const VERSIONS = { 20: '20.20.2', 22: '22.23.3', 24: '24.21.0' };

/**
 * A Node of this major version: the one that runs, or npm's package `node`, which needs its install script.
 * Fetched once into node_modules/.cache/matrix.
 */
export async function nodeOf(major) {
  if (process.versions.node.split('.')[0] === String(major)) return { binary: process.execPath, version: process.versions.node };
  const wanted = VERSIONS[major];
  const folder = join(cache, `node-${major}`);
  const binary = join(folder, 'node_modules/node/bin', process.platform === 'win32' ? 'node.exe' : 'node');
  const found = async () => (existsSync(binary) ? (await run(binary, ['-p', 'process.versions.node'])).stdout.trim() : 'none');
  if ((await found()) !== wanted) {
    mkdirSync(folder, { recursive: true });
    await npm(folder, ['install', `node@${wanted}`, '--prefix', folder, '--ignore-scripts=false']);
  }
  const version = await found();
  if (version !== wanted) throw new Error(`npm's package node brought ${version} instead of ${wanted}`);
  return { binary, version };
}

/** Runs npm in a folder. What it warns of is in `stderr`. */
export function npm(folder, words) {
  return run('npm', [...words, '--no-audit', '--no-fund', '--prefer-offline'], { cwd: folder, shell: process.platform === 'win32' });
}

/**
 * Runs a command to its end and gives back what it printed.
 * @throws Error with what it printed when it fails or takes longer than five minutes.
 */
export function run(command, words, options = {}) {
  const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 300_000, ...options });
  const printed = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (printed.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (printed.stderr += text));
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('close', (code, signal) => {
      if (code === 0) done(printed);
      else failed(new Error(`${command} ${words.join(' ')} ended with ${signal ?? code}\n${printed.stdout}${printed.stderr}`));
    });
  });
}
