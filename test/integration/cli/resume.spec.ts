import { readdirSync, statSync, symlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { answersTo, CommandLine, line, lines } from '../../fixtures/cli/command-line.js';
import { answer, refuse } from '../../fixtures/cli/loopback-llm.js';

// An output from before: what stays, what goes, and what is asked again. The cache is empty each time.

let cli: CommandLine;
beforeEach(async () => (cli = await CommandLine.open()));
afterEach(() => cli.close());

describe('an output from before', () => {
  it('that has everything stays as it is', async () => {
    cli.write('in.jsonl', lines(3));
    await cli.run();
    const [text, { ino, mtimeMs }] = [cli.text('out.jsonl'), statSync(cli.path('out.jsonl'))];
    const { code, stderr } = await cli.run();
    expect(code).toBe(0);
    expect(stderr).toMatch(/out\.jsonl has 3 answers already; going on with the rest\.\nasked +0 +3 more were answered in the output already\n/);
    expect(cli.text('out.jsonl')).toBe(text);
    expect(statSync(cli.path('out.jsonl'))).toMatchObject({ ino, mtimeMs });
  });

  it.each<[string, (whole: string) => string, number]>([
    ['a half line', (whole) => whole.slice(0, -30), 1],
    ['a whole line without its end', (whole) => whole.slice(0, -1), 1],
    ['two letters of a line', (whole) => `${whole}{"`, 0],
    ['a doubled line', (whole) => `${whole}${whole.split('\n')[0]!}\n`, 0],
    ['a doubled line and a half one', (whole) => `${whole}${whole}${whole.slice(0, 50)}`, 0],
    ['a line of another question', (whole) => whole.replace(/batch_req_[0-9a-f]{12}/, 'batch_req_000000000000'), 1],
    ['a line of OpenAI’s own', (whole) => whole.replace(/batch_req_[0-9a-f]{12}/, 'batch_req_wnaDys'), 1],
    ['a failed line', (whole) => whole.replace('"error":null', '"error":{"code":"500","message":""}'), 1],
    ['a line without a response', (whole) => whole.replace(/"response":\{.*\}\},"error"/, '"response":null,"error"'), 1],
    ['an answer to nothing that is asked', (whole) => whole.replace('"custom_id":"r2"', '"custom_id":"x"'), 1],
    ['nothing', () => '', 6],
  ])('with %s is put right', async (_what, spoil, missing) => {
    cli.write('in.jsonl', lines(6));
    await cli.run('--ordered');
    cli.write('out.jsonl', spoil(cli.text('out.jsonl')));
    expect((await cli.run()).code).toBe(0);
    expect(cli.answers()).toEqual(answersTo(6));
    expect(cli.llm.asked).toHaveLength(6 + missing);
    expect(readdirSync(cli.folder).sort()).toEqual(['in.jsonl', 'out.jsonl']);
  });

  it('is all that a run leaves, beside a store whose log has been emptied into its file', async () => {
    cli.write('in.jsonl', lines(3));
    await cli.run('--store', `sqlite:${cli.path('cache.db')}`);
    expect(statSync(cli.path('cache.db-wal'), { throwIfNoEntry: false })?.size ?? 0).toBe(0);
  });

  it.each<[string, string[]]>([
    ['model', ['--model', 'another']],
    ['namespace', ['--namespace', 'another']],
  ])('from another %s is answered anew', async (_what, flags) => {
    cli.write('in.jsonl', lines(3));
    await cli.run();
    const { stderr } = await cli.run(...flags);
    expect(stderr).toContain('out.jsonl had 3 lines that failed or answer other requests; they are removed.');
    expect(cli.answers()).toEqual(answersTo(3));
    expect(cli.llm.asked).toHaveLength(6);
  });

  it('is asked again what failed, and what did not stays', async () => {
    cli.write('in.jsonl', lines(4));
    cli.llm.respond = (response, asked, before) => (asked.question === 'question 2' ? refuse(400, { error: { code: 'bad_request' } }) : answer())(response, asked, before);
    expect((await cli.run()).code).toBe(1);
    cli.llm.respond = answer();
    expect((await cli.run()).code).toBe(0);
    expect(cli.answers()).toEqual(answersTo(4));
    expect(cli.llm.asked).toHaveLength(5);
  });

  it.each([['notes\n'], ['{"custom_id":"a"}\n'], ['notes'], ['{"name":"a"}'], [`${JSON.stringify([])}\n`]])('that is something else (%j) is left alone', async (notes) => {
    cli.write('in.jsonl', lines(1));
    cli.write('out.jsonl', notes);
    const { code, stderr } = await cli.run();
    expect(code).toBe(2);
    expect(stderr).toMatch(/out\.jsonl is there and holds no results of a batch \(line 1\)\. Name another --out, or remove it\.\n$/);
    expect(cli.text('out.jsonl')).toBe(notes);
    expect(cli.llm.asked).toHaveLength(0);
  });

  it('behind a link stays behind it', async () => {
    cli.write('in.jsonl', lines(2));
    await cli.run('--out', cli.path('real.jsonl'));
    symlinkSync(cli.path('real.jsonl'), cli.path('out.jsonl'));
    await cli.run('--model', 'another');
    expect(cli.answers('real.jsonl')).toEqual(answersTo(2));
  });
});

describe('standard input', () => {
  const run = (stdin: string, ...words: string[]) =>
    cli.runWith({ stdin }, ['batch', '-', '-o', cli.path('out.jsonl'), '--base-url', cli.llm.url, '--store', 'memory', ...words]);

  it('goes on with an output: what is answered is not asked again, and no custom_id comes twice', async () => {
    expect((await run(lines(3))).code).toBe(0);
    const { code, stderr } = await run(`${lines(4)}${line('r1', 'another question')}\n`);
    expect(code).toBe(1);
    expect(stderr).toContain('stdin:5: "custom_id" was used before; skipped');
    expect((await run(line('r2', 'another question'))).stderr).toContain('stdin:1: "custom_id" has the answer to another question in the output; skipped');
    expect(cli.answers()).toEqual(answersTo(4));
    expect(cli.llm.asked).toHaveLength(4);
  });

  it('stops with --strict where a line is malformed, after what came before', async () => {
    const { code, stderr } = await run(`${lines(2)}nonsense\n${lines(2, 2)}`, '--strict');
    expect(code).toBe(2);
    expect(stderr).toContain('stdin:3: not JSON. Stopped, for --strict.');
    expect(cli.answers()).toEqual(answersTo(2));
  });
});
