import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';

const PROGRAMS = ['redis-server', 'valkey-server'];
/** What to say where there is none. */
export const INSTALL = `No ${PROGRAMS.join(' and no ')} on the PATH. Install one: apt-get install -y redis-server (macOS: brew install redis)`;
const START_MS = 10_000;
/** Somebody else may take the port before the server has it. */
const TRIES = 3;

/** The first Redis server on the PATH; `undefined` where there is none. */
export function redisProgram() {
  const candidates = PROGRAMS.flatMap((program) => (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, program)));
  return candidates.find(isExecutable);
}

/** A Redis server of its own on a loopback port. It keeps nothing on disk, and ends with this process. */
export class OwnRedis {
  /** @param {number} [wanted] a port; a free one by default */
  static async start(program = redisProgram(), wanted) {
    for (let attempt = 1; ; attempt += 1) {
      const port = wanted ?? (await freePort());
      const child = spawn(program, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const end = () => child.kill('SIGKILL');
      process.once('exit', end);
      child.once('exit', () => process.off('exit', end));
      try {
        await ready(child);
        return new OwnRedis(child, port);
      } catch (error) {
        end();
        if (attempt === TRIES) throw error;
      }
    }
  }

  constructor(child, port) {
    this.child = child;
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
  }

  /** At once, since there is nothing to save. */
  async stop() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }
}

/** Reads what it says until it takes connections. */
function ready(child) {
  return new Promise((resolve, reject) => {
    const said = [];
    const fail = (problem) => reject(new Error([`${child.spawnfile} ${problem}`, ...said].join('\n')));
    const timer = setTimeout(() => fail(`was not up within ${START_MS / 1_000} s`), START_MS);
    child.once('error', reject);
    child.once('exit', () => {
      clearTimeout(timer);
      fail('ended before it took connections');
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      said.push(line);
      if (!line.includes('Ready to accept connections')) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
