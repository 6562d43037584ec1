// npm run docs:outages: breaks Redis in each way, one after the other, and writes what was seen to docs/outages.md.
import { spawn } from 'node:child_process';

const node = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
const run = spawn(process.execPath, [...node, 'node_modules/jest/bin/jest.js', 'test/integration/redis/outages.spec.ts'], {
  cwd: new URL('..', import.meta.url),
  env: { ...process.env, RECORD_OUTAGES: '1' },
  stdio: 'inherit',
});
run.once('exit', (code) => (process.exitCode = code ?? 1));
