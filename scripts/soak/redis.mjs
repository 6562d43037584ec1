// A Redis of the soak's own, on a free loopback port, which keeps nothing on disk.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PROGRAMS = ['redis-server', 'valkey-server'];

export class Redis {
  #child;
  #folder = mkdtempSync(join(tmpdir(), 'nestjs-llm-cache-soak-'));
  #program = PROGRAMS.find((program) => spawnSync(program, ['--version']).status === 0);

  static async start() {
    const redis = new Redis();
    if (redis.#program === undefined) throw new Error(`none of ${PROGRAMS.join(', ')} is on the PATH: apt-get install -y redis-server`);
    redis.port = await freePort();
    await redis.#launch();
    return redis;
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  freeze() {
    this.#child.kill('SIGSTOP');
  }

  thaw() {
    this.#child.kill('SIGCONT');
  }

  /** As if its machine lost power; it comes back empty. */
  async restart(downMs) {
    await this.#kill();
    await sleep(downMs);
    await this.#launch();
  }

  async stop() {
    await this.#kill();
    this.removeNow();
  }

  /** For the end of the process, which waits for nothing. */
  removeNow() {
    this.#child?.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #kill() {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async #launch() {
    const quiet = ['--bind', '127.0.0.1', '--dir', this.#folder, '--save', '', '--appendonly', 'no', '--loglevel', 'warning'];
    this.#child = spawn(this.#program, ['--port', String(this.port), ...quiet], { stdio: ['ignore', 'ignore', 'inherit'] });
    for (let tries = 0; !(await accepts(this.port)); tries += 1) {
      if (tries > 1000) throw new Error(`${this.#program} did not start`);
      await sleep(5);
    }
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
