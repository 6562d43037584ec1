import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { firstColumn, root, textOf } from './documentation.js';

const specs = ['damage', 'replaced', 'disk', 'kill'].map((name) => readFileSync(join(root, `test/integration/sqlite-${name}.spec.ts`), 'utf8'));

/** What the specs call their cases: a field or first argument of the tables, or the title of a `describe`. */
const tested = specs.flatMap((spec) =>
  [...spec.matchAll(/(?:trouble: |ofDatabase\(|ofWal\(|describe\()(['"])(.+?)\1[,)]/g), ...spec.matchAll(/\bit\((['"])(replaced by .+?):/g)].map(([, , name]) => name!),
);
const GROUPS = new Set(['a damaged file', 'a file']);

describe('the cases of docs/sqlite.md', () => {
  it('are those of the specs', () => {
    const documented = [...textOf('docs/sqlite.md').split('| case |')[1]!.split('\n\n')[0]!.matchAll(/^\| (.+?) \|/gm)].map(([, cell]) => cell!);
    expect(documented.length).toBeGreaterThan(20);
    expect([...documented].sort()).toEqual([...new Set(tested)].filter((name) => !GROUPS.has(name)).sort());
  });

  it('lose what the specs say', () => {
    expect(firstColumn('docs/sqlite.md', 'case')).toContain('zeroed');
    for (const [, name, lost] of specs.join('\n').matchAll(/trouble: ['"](.+?)['"], .*lost: '(.+?)'/g)) {
      const row = textOf('docs/sqlite.md').split('\n').find((line) => line.startsWith(`| ${name} |`));
      expect(row?.split(' | ')[2]).toBe(lost);
    }
  });
});
