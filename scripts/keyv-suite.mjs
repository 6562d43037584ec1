// Runs Keyv's own tests (@keyv/test-suite) over memoryStore, sqliteStore and redisStore of the built package: npm run test:keyv
// They live in a folder with a lock of its own, because they bring a sqlite3 that compiles for a minute where scripts may run.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const folder = new URL('../test/keyv-suite/', import.meta.url);
const report = new URL('node_modules/.report.json', folder);

/** 38 of the interface and 4 of the iterator, over each store, as the factory's Keyv and as the adapter of another. */
const OF_EACH_STORE = (38 + 4) * 2;

function run(command, env = {}) {
  const { status } = spawnSync(command, { cwd: fileURLToPath(folder), stdio: 'inherit', shell: true, env: { ...process.env, ...env } });
  return status === 0;
}

/** `REDIS_URL`, or a server of our own on a free port; `undefined` where there is none. */
async function redis() {
  if (process.env.REDIS_URL) return { url: process.env.REDIS_URL, stop() {} };
  const port = await new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = probe.address();
      probe.close(() => resolve(free));
    });
  });
  for (const program of ['redis-server', 'valkey-server']) {
    const server = spawn(program, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], { stdio: 'ignore' });
    if (await new Promise((resolve) => server.once('spawn', () => resolve(true)).once('error', () => resolve(false)))) {
      return { url: `redis://127.0.0.1:${port}`, stop: () => server.kill() };
    }
  }
  return undefined;
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
const server = await redis();
if (server === undefined) {
  console.error('keyv-suite: NOT over redisStore: no redis-server or valkey-server on the PATH (apt-get install -y redis-server)');
  if (process.env.CI === 'true') process.exit(1);
}
rmSync(report, { force: true });
const ended = run(`node node_modules/vitest/vitest.mjs run --reporter=dot --reporter=json --outputFile.json="${fileURLToPath(report)}"`, server && { KEYV_SUITE_REDIS_URL: server.url });
server?.stop();
const expected = OF_EACH_STORE * (server === undefined ? 2 : 3);
const { passed, failed } = counted();
console.log(`keyv-suite: ${passed} of ${expected} passed, ${failed} failed: @keyv/test-suite over memoryStore, sqliteStore${server === undefined ? '' : ' and redisStore'}`);
process.exitCode = ended && failed === 0 && passed === expected ? 0 : 1;
