import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('fleet-process.mjs', import.meta.url));

/** A process of the fleet, as seen from outside. */
export class FleetMember {
  static async start(number, ...args) {
    const member = new FleetMember(number, fork(program, args));
    await member.reply('ready');
    return member;
  }

  constructor(number, child) {
    this.number = number;
    this.child = child;
    this.orders = 0;
    this.waiting = new Map();
    child.on('message', ({ id, result, error }) => {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    });
    child.once('exit', () => {
      for (const { reject } of this.waiting.values()) reject(new Error(`process ${number} has ended`));
    });
  }

  tell(order, details) {
    const id = (this.orders += 1);
    const reply = this.reply(id);
    this.child.send({ id, order, ...details });
    return reply;
  }

  /** Lets it close its apps. */
  async stop() {
    const exited = once(this.child, 'exit');
    this.child.disconnect();
    await exited;
  }

  /** `kill -9`. */
  async kill() {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }

  reply(id) {
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }
}
