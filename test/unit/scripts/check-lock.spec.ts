import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

interface Lock {
  packages: Record<string, { version?: string; resolved?: string; optionalDependencies?: Record<string, string> }>;
}

const script = resolve('scripts/check-lock.mjs');
const realLock = resolve('package-lock.json');

describe('scripts/check-lock', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'check-lock-'));
  });

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  function check(file?: string) {
    const { status, stdout, stderr } = spawnSync(process.execPath, file === undefined ? [script] : [script, file], {
      encoding: 'utf8',
    });
    return { status, stdout, stderr };
  }

  function checkBroken(breakIt: (packages: Lock['packages']) => void) {
    const lock = JSON.parse(readFileSync(realLock, 'utf8')) as Lock;
    breakIt(lock.packages);
    const file = join(folder, 'package-lock.json');
    writeFileSync(file, JSON.stringify(lock));
    return check(file);
  }

  it('accepts the lock files of this repository', () => {
    const { status, stdout, stderr } = check();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.split('\n').map((line) => line.split(':')[0])).toEqual([
      'package-lock.json',
      join('test', 'keyv-suite', 'package-lock.json'),
      '',
    ]);
  });

  it.each([
    '@swc/core-darwin-arm64',
    '@oxlint/binding-win32-x64-msvc',
    '@oxlint-tsgolint/darwin-arm64',
    '@unrs/resolver-binding-darwin-arm64',
    '@libsql/darwin-arm64',
  ])('refuses a lock without %s and says how to cure it', (name) => {
    const { status, stderr } = checkBroken((packages) => {
      expect(packages).toHaveProperty([`node_modules/${name}`]);
      delete packages[`node_modules/${name}`];
    });

    expect(status).toBe(1);
    expect(stderr).toContain(`needs ${name}@`);
    expect(stderr).toContain('Pin the package');
  });

  it('refuses a platform binary without a version', () => {
    const { status, stderr } = checkBroken((packages) => {
      packages['node_modules/@swc/core-win32-x64-msvc'] = {};
    });

    expect(status).toBe(1);
    expect(stderr).toContain('@swc/core-win32-x64-msvc');
  });

  it('refuses a platform binary of another release than its owner asks for', () => {
    const { status, stderr } = checkBroken((packages) => {
      packages['node_modules/@swc/core-win32-x64-msvc'] = { version: '0.0.1' };
    });

    expect(status).toBe(1);
    expect(stderr).toContain('the lock has 0.0.1');
  });

  it('refuses a registry address', () => {
    const { status, stderr } = checkBroken((packages) => {
      packages['node_modules/keyv']!.resolved = 'https://registry.example.test/keyv.tgz';
    });

    expect(status).toBe(1);
    expect(stderr).toContain('node_modules/keyv is tied to https://registry.example.test/keyv.tgz');
    expect(stderr).toContain('omit-lockfile-registry-resolved');
  });
});
