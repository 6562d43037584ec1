import { execFile } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { describeWithServers } from '../fixtures/redis/with-redis.js';
import { compileForChild } from '../fixtures/sqlite/compile-for-child.js';

const run = promisify(execFile);
const WHOLE_PACKAGE = ['.', 'llm', 'llm/batch', 'llm/providers', 'decorator', 'module', 'module/health', 'stores/redis'];

let compiled: Awaited<ReturnType<typeof compileForChild>>;

// The demo as it is, beside the package as it is now: it needs no build.
beforeAll(async () => {
  compiled = await compileForChild(WHOLE_PACKAGE);
  cpSync('sample-app/demo', join(compiled.folder, 'sample-app/demo'), { recursive: true });
}, 30_000);
afterAll(() => compiled.remove());

const demo = (args: string[], environment: NodeJS.ProcessEnv): Promise<{ stdout: string; stderr: string }> =>
  run(process.execPath, [join(compiled.folder, 'sample-app/demo/fleet.mjs'), ...args], { env: { ...environment, NODE_OPTIONS: '' } });

describeWithServers('npm run demo:fleet', () => {
  it('counts the upstream calls of four processes, with and without us', async () => {
    const { stdout, stderr } = await demo(['--callers', '10', '--lease', '300'], process.env);
    expect(stderr).toBe('');
    expect(stdout).toContain('✓ 40 callers: 40, 4, 1 upstream calls');
    expect(stdout.match(/✓ 2 upstream calls; .*/g)).toHaveLength(2);
    expect(stdout).not.toContain('✗');
    expect(stdout).not.toContain('\u001B'); // no colours where there is no terminal
  });
});

describe('npm run demo:fleet without a server', () => {
  it('says what to install', async () => {
    const failure = demo([], { ...process.env, PATH: '/nowhere' });
    await expect(failure).rejects.toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('apt-get install -y redis-server') });
  });
});
