import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist-sample/sample-app/src/main.js', import.meta.url));
const START_MS = 20_000;

/** The sample app in a process of its own, on a free loopback port. */
export class SampleServer {
  static async start(folder, environment) {
    // Node 22 warns that its SQLite is experimental.
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main], {
      // Away from any .env file of the project.
      cwd: folder,
      env: { ...process.env, NO_COLOR: '1', PORT: '0', ...environment },
      // Its log stays out of sight; a warning or an error would be seen.
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const server = new SampleServer(child);
    try {
      server.url = await addressOf(child);
    } catch (error) {
      server.killNow();
      throw error;
    }
    return server;
  }

  constructor(child) {
    this.child = child;
  }

  /** Asks it to shut down, as a deployment does. */
  stop() {
    return this.end('SIGTERM');
  }

  /** `kill -9`: no shutdown hook runs. */
  kill() {
    return this.end('SIGKILL');
  }

  killNow() {
    this.child.kill('SIGKILL');
  }

  async end(signal) {
    const exited = once(this.child, 'exit');
    if (!this.child.kill(signal)) throw new Error('The sample app ended by itself. To see its log: npm start');
    await exited;
  }
}

/** Reads the log until the app says where it listens. */
function addressOf(child) {
  return new Promise((resolve, reject) => {
    const fail = (problem) => reject(new Error(`The sample app ${problem}. To see its log: npm start`));
    const timer = setTimeout(() => fail(`was not up within ${START_MS / 1_000} s`), START_MS);
    child.once('error', reject);
    child.once('exit', (code, signal) => fail(`ended (${signal ?? `code ${code}`}) before it listened`));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const address = /Listening on (http\S+)/.exec(line)?.[1];
      if (address === undefined) return;
      clearTimeout(timer);
      resolve(address);
    });
  });
}
