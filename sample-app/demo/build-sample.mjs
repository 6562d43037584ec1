import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const nest = fileURLToPath(new URL('../../node_modules/@nestjs/cli/bin/nest.js', import.meta.url));

/** `nest build`, heard only when it fails. */
export function buildSample() {
  return new Promise((resolve, reject) => {
    const build = spawn(process.execPath, [nest, 'build'], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [build.stdout, build.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
    build.once('error', reject);
    build.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`nest build failed:\n${output}`))));
  });
}
