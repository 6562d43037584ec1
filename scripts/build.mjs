// Builds the package twice with plain tsc: dist/esm (import) and dist/cjs (require).
import { spawn } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);
const tsc = fileURLToPath(new URL('node_modules/typescript/bin/tsc', root));

function compile(project) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [tsc, '-p', project], { cwd: root, stdio: 'inherit' });
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`tsc -p ${project} failed`))));
  });
}

await rm(new URL('dist', root), { recursive: true, force: true });
const builds = await Promise.allSettled(['tsconfig.build.json', 'tsconfig.cjs.json'].map(compile));
const failures = builds.filter((build) => build.status === 'rejected');

for (const { reason } of failures) console.error(reason.message);
if (failures.length > 0) {
  process.exitCode = 1;
} else {
  // The package is "type": "module"; this makes Node read dist/cjs/*.js as CommonJS.
  await mkdir(new URL('dist/cjs', root), { recursive: true });
  await writeFile(new URL('dist/cjs/package.json', root), '{ "type": "commonjs" }\n');
}
