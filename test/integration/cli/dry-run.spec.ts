import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CommandLine, lines } from '../../fixtures/cli/command-line.js';

let cli: CommandLine;
beforeEach(async () => (cli = await CommandLine.open()));
afterEach(() => cli.close());

describe('a dry run', () => {
  const dryRun = (...words: string[]) => cli.run('--dry-run', '--store', `sqlite:${cli.path('cache.db')}`, ...words);

  it('asks nothing, makes no file, and says what would be asked', async () => {
    cli.write('in.jsonl', `${lines(5)}${lines(5, 100).replaceAll(/question \d+/g, 'question 0')}nonsense\n`);
    const { code, stdout, stderr } = await dryRun();
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/to ask +10\nunique +5\nstored +0\nskipped lines +1\nupstream calls +5 +would be made\ncalls saved +5\n$/);
    expect(cli.llm.asked).toHaveLength(0);
    expect([cli.lines(), cli.lines('cache.db')]).toEqual([0, 0]);
  });

  it('knows what is stored, and what the output has', async () => {
    cli.write('in.jsonl', lines(6));
    await cli.run('--store', `sqlite:${cli.path('cache.db')}`);
    cli.write('in.jsonl', lines(8));
    cli.write('out.jsonl', `${cli.text('out.jsonl').split('\n').slice(0, 2).join('\n')}\n{"id":"batch`);
    const before = cli.text('out.jsonl');
    const { code, stderr } = await dryRun();
    expect(code).toBe(0);
    expect(stderr).toMatch(/to ask +6 +2 more were answered in the output already\nunique +6\nstored +4\nupstream calls +2 +would be made\ncalls saved +4\n$/);
    expect(cli.text('out.jsonl')).toBe(before);
    expect(cli.llm.asked).toHaveLength(6);
  });

  it('of the sample’s tickets finds a third of them repeated', async () => {
    cli.write('in.jsonl', readFileSync('sample-app/data/tickets.jsonl'));
    const { code, stderr } = await dryRun();
    expect(code).toBe(0);
    expect(stderr).toMatch(/to ask +60\nunique +40\nstored +0\nupstream calls +40 +would be made\ncalls saved +20\n$/);
  });

  it('does not ask what cannot be looked up either', async () => {
    cli.write('in.jsonl', lines(2).replaceAll('"messages"', '"store":true,"messages"'));
    expect((await dryRun()).stderr).toMatch(/upstream calls +2 +would be made/);
    expect(cli.llm.asked).toHaveLength(0);
  });
});
