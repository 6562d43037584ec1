import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';

interface Mutant {
  name: string;
  file: string;
  from: string;
  to: string;
  noticedBy: string[];
}

const root = new URL('../../../', import.meta.url);
const { mutants } = (await import(new URL('test/mutants/mutants.mjs', root).href)) as { mutants: Mutant[] };

describe('the list of mutants', () => {
  it('is long, and names each of them', () => {
    expect(mutants.length).toBeGreaterThanOrEqual(40);
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  });

  it.each(mutants.map((mutant) => [mutant.name, mutant] as const))('%s: can be made, and somebody looks', (_name, { file, from, to, noticedBy }) => {
    const source = readFileSync(new URL(`lib/${file}`, root), 'utf8');
    expect(source.split(from)).toHaveLength(2);
    expect(to).not.toBe(from);
    expect(noticedBy.filter((spec) => !existsSync(new URL(`test/${spec}.spec.ts`, root)))).toEqual([]);
    expect(noticedBy).not.toEqual([]);
  });
});
