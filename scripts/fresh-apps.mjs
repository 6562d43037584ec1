// Packs the built package and installs it in three fresh apps, as a user would: npm run test:apps
// Each app of test/apps is installed with a plain `npm i`, compiled with `strict`, started, asked twice, restarted,
// asked again, and runs its own Jest test. node scripts/fresh-apps.mjs [part of an app's name ...]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { nodeOf, npm, run } from './other-node.mjs';

const root = resolve(import.meta.dirname, '..');
const IN_ESM_MODE = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];

const OPTIONAL = ['@nestjs/cache-manager', 'cache-manager', 'libsql'];

/** `file`: whether its answers outlive a restart. Nest 12 itself cannot be required inside Jest below Node 24.9. */
const APPS = [
  { name: 'nest-12-esm', starts: [{ node: 20, file: true }], jest: { node: 20, flags: IN_ESM_MODE } },
  { name: 'nest-11-cjs', starts: [{ node: 20, file: true }], jest: { node: 20, flags: [] } },
  { name: 'nest-12-cjs', starts: [{ node: 20, file: false }, { node: 24, file: true }], jest: { node: 24, flags: IN_ESM_MODE }, without: OPTIONAL },
];

/** Everything that the tarball may hold. */
const PUBLISHED = /^(?:dist\/(?:esm|cjs)\/.+|docs\/(?!api\/).+\.(?:md|svg)|(?:README|CHANGELOG|ARCHITECTURE)\.md|LICENSE|package\.json)$/;
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall', 'prepare'];

const words = process.argv.slice(2);
const chosen = APPS.filter(({ name }) => words.every((word) => name.includes(word)));
const folder = mkdtempSync(join(tmpdir(), 'llm-cache-apps-'));
const started = new Set();
process.once('exit', () => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

const tarball = await pack();
const waiting = [...chosen];
let failures = 0;
await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, async () => {
  for (let app = waiting.shift(); app !== undefined; app = waiting.shift()) await tryOut(app);
}));
console.log(`apps: ${chosen.length - failures} of ${chosen.length} work`);
process.exit(failures > 0 || chosen.length === 0 ? 1 : 0);

async function pack() {
  const { stdout } = await npm(root, ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]);
  const [{ filename, files, size, unpackedSize }] = JSON.parse(stdout);
  const paths = files.map(({ path }) => path);
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const complaints = [
    ...paths.filter((path) => !PUBLISHED.test(path)).map((path) => `the tarball holds ${path}`),
    ...['dist/esm/index.js', 'dist/cjs/index.js', 'dist/esm/cli/main.js', 'README.md', 'LICENSE'].filter((path) => !paths.includes(path)).map((path) => `the tarball lacks ${path}`),
    ...INSTALL_SCRIPTS.filter((name) => name in scripts).map((name) => `package.json has the script ${name}`),
  ];
  console.log(`apps: ${filename}: ${paths.length} files, ${kilobytes(size)} packed, ${kilobytes(unpackedSize)} unpacked`);
  for (const complaint of complaints) console.log(`apps: FAILED: ${complaint}`);
  if (complaints.length > 0) process.exit(1);
  return join(folder, filename);
}

async function tryOut({ name, starts, jest, without = [] }) {
  const home = join(folder, name);
  const seconds = {};
  const timed = async (step, work) => {
    const startedAtMs = performance.now();
    const result = await work();
    seconds[step] = Math.round((performance.now() - startedAtMs) / 100) / 10;
    return result;
  };
  const facts = [];
  try {
    await timed('install', () => install(name, home, without));
    await timed('compile', () => run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.'], { cwd: home }));
    await timed('run', async () => {
      for (const start of starts) facts.push(await askTwiceAndRestart(home, start));
    });
    facts.push(await timed('command', () => commandLine(home)));
    facts.push(await timed('jest', () => ownTest(home, jest)));
    console.log(`apps: ${name}: ${facts.join('; ')} (${Object.entries(seconds).map(([step, count]) => `${step} ${count} s`).join(', ')})`);
  } catch (error) {
    failures++;
    console.log(`apps: FAILED: ${name}: ${error.message}`);
  }
}

/** A plain `npm i`, with the package as a file. Whatever npm has to say about peers is a failure. */
async function install(name, home, without) {
  cpSync(join(root, 'test/apps', name), home, { recursive: true, filter: (path) => !/node_modules|dist$/.test(path.slice(root.length)) });
  const manifestFile = join(home, 'package.json');
  const manifest = JSON.parse(readFileSync(manifestFile, 'utf8'));
  manifest.dependencies['nestjs-llm-cache'] = `file:${tarball}`;
  writeFileSync(manifestFile, JSON.stringify(manifest, undefined, 2));
  const { stderr } = await npm(home, ['i']);
  const complaint = stderr.split('\n').find((line) => /ERESOLVE|peer/i.test(line));
  if (complaint !== undefined) throw new Error(`npm i says: ${stderr}`);
  // What `npm ls` calls invalid or missing is a peer that npm did not even mention.
  await npm(home, ['ls', '--all']);
  const uninvited = without.filter((packageName) => existsSync(join(home, 'node_modules', packageName)));
  if (uninvited.length > 0) throw new Error(`npm i brought ${uninvited.join(', ')}, which should be optional`);
}

async function askTwiceAndRestart(home, { node, file }) {
  const { binary, version } = await nodeOf(node);
  const upstream = await startUpstream();
  try {
    await using(home, binary, upstream, async (url) => {
      const [first, second] = [await ask(url), await ask(url)];
      expectEqual('the two answers', second, first);
      expectEqual('upstream calls', upstream.calls(), 1);
      expectEqual('hits', await textOf(`${url}/hits`), '1');
    });
    await using(home, binary, upstream, async (url) => {
      await ask(url);
      expectEqual('upstream calls after a restart', upstream.calls(), file ? 1 : 2);
    });
  } finally {
    await upstream.stop();
  }
  return `node ${version}: asked twice, 1 upstream call and 1 hit${file ? ', a hit after a restart' : ' (memory only)'}`;
}

function ask(url) {
  return textOf(`${url}/summary?ticket=My%20invoice`);
}

async function textOf(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(20_000) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text}`);
  return text;
}

/** The compiled app while `use` runs, ended as a container would. */
async function using(home, binary, upstream, use) {
  const child = spawn(binary, ['dist/main.js'], {
    cwd: home, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LLM_BASE_URL: upstream.url, NO_COLOR: '1' },
  });
  started.add(child);
  const ended = once(child, 'exit');
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (printed += text));
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  try {
    const listening = new Promise((done) => {
      createInterface({ input: child.stdout }).on('line', (line) => line.startsWith('listening on ') && done(line.slice('listening on '.length)));
    });
    const url = await Promise.race([listening, ended.then(() => undefined)]);
    if (url === undefined) throw new Error(`the app did not start:\n${printed}`);
    await use(url);
  } catch (error) {
    throw new Error(`${error.message}\n${printed}`, { cause: error });
  } finally {
    child.kill('SIGTERM');
    await ended;
    clearTimeout(timer);
    started.delete(child);
  }
}

/** A chat-completions server that never says the same twice. */
async function startUpstream() {
  let calls = 0;
  const server = createServer((_request, response) => {
    calls++;
    const message = { role: 'assistant', content: `answer ${calls}` };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ id: `c${calls}`, object: 'chat.completion', model: 'gpt-4o-mini', choices: [{ index: 0, finish_reason: 'stop', message }] }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    calls: () => calls,
    stop: () => new Promise((done) => {
      server.close(done);
      server.closeAllConnections();
    }),
  };
}

/** As `npx` finds it, with results on the standard output. */
async function commandLine(home) {
  const exec = async (...given) => (await run('npm', ['exec', '--no', '--', 'nestjs-llm-cache', ...given], { cwd: home, shell: process.platform === 'win32' })).stdout;
  const hasDriver = existsSync(join(home, 'node_modules/libsql'));
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  expectEqual('--version', (await exec('--version')).trim(), version);
  const upstream = await startUpstream();
  try {
    const request = { custom_id: 'a', body: { messages: [{ role: 'user', content: 'What is new?' }] } };
    writeFileSync(join(home, 'in.jsonl'), `${JSON.stringify(request)}\n`);
    for (let time = 0; time < 2; time++) {
      const result = JSON.parse(await exec('batch', 'in.jsonl', '--base-url', upstream.url, ...(hasDriver ? [] : ['--store', 'memory'])));
      expectEqual('the result', result.response.status_code, 200);
    }
    expectEqual('upstream calls', upstream.calls(), hasDriver ? 1 : 2);
  } finally {
    await upstream.stop();
  }
  return 'npx nestjs-llm-cache works';
}

async function ownTest(home, { node, flags }) {
  const { binary, version } = await nodeOf(node);
  const report = join(home, 'jest-report.json');
  await run(binary, [...flags, 'node_modules/jest/bin/jest.js', '--json', `--outputFile=${report}`], { cwd: home });
  expectEqual('passed tests', JSON.parse(readFileSync(report, 'utf8')).numPassedTests, 1);
  return `its own Jest test passes on node ${version}`;
}

function expectEqual(what, actual, expected) {
  if (actual !== expected) throw new Error(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

function kilobytes(bytes) {
  return `${(bytes / 1000).toFixed(1)} kB`;
}
