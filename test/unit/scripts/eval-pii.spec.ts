import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const script = resolve('scripts/eval-pii.mjs');

describe('scripts/eval-pii refuses', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'eval-pii-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it.each([
    ['no file', undefined, 'no file given'],
    ['a file that is not there', null, 'cannot read'],
    ['an empty file', '\n', 'holds no texts'],
    ['what is not JSON', '{"text":"a","spans":[]}\nno', 'texts.jsonl:2 is not JSON'],
    ['a line without a text', '{"spans":[]}', 'texts.jsonl:1 has no "text"'],
    ['spans that are no list', '{"text":"a","spans":1}', '"spans" is not a list'],
    ['a span outside the text', '{"text":"a","spans":[{"start":0,"end":2,"type":"EMAIL"}]}', 'has a span that is not'],
  ])('%s', (_what, content, problem) => {
    const file = join(folder, 'texts.jsonl');
    rmSync(file, { force: true });
    if (typeof content === 'string') writeFileSync(file, content);
    const { status, stderr } = spawnSync(process.execPath, content === undefined ? [script] : [script, file], { encoding: 'utf8' });
    expect(stderr).toContain(problem);
    expect(stderr).toContain('npm run eval:pii -- ');
    expect(status).toBe(2);
  });
});
