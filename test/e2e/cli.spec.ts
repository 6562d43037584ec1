import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { answersTo, CommandLine, compileCommandLine, line, lines, resultsIn, until, type Compiled, type Ended } from '../fixtures/cli/command-line.js';
import { answer } from '../fixtures/cli/loopback-llm.js';
import { canMount, mount, unmount } from '../fixtures/small-disk.js';

let compiled: Compiled;
let cli: CommandLine;
beforeAll(async () => (compiled = await compileCommandLine()), 60_000);
afterAll(() => compiled.remove());
beforeEach(async () => (cli = await CommandLine.open(compiled)));
afterEach(() => cli.close());

describe('a batch', () => {
  it('writes results in the format of OpenAI, and tells what it took', async () => {
    cli.write('in.jsonl', `${line('a', 'first')}\n${line('b', 'second')}\n${line('c', 'first')}\n`);
    const { code, stdout, stderr } = await cli.batch('--model', 'test-model', '--ordered').ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(cli.results()[0]).toEqual({
      id: expect.stringMatching(/^batch_req_[0-9a-f]{12}$/),
      custom_id: 'a',
      response: { status_code: 200, request_id: 'chatcmpl-1', body: expect.objectContaining({ model: 'test-model', usage: expect.anything() }) },
      error: null,
    });
    expect(cli.answers()).toEqual(['a: Answer to: first', 'b: Answer to: second', 'c: Answer to: first']);
    expect(stderr).toMatch(/asked +3\nunique +2\nhits +0 +1 more shared the call of an equal request\nupstream calls +2\nfailed +0\ntokens +14 +spent, 7 saved\ntime /);
    expect(cli.llm.asked[0]).toMatchObject({ path: '/v1/chat/completions', body: { model: 'test-model' } });
  });

  it('asks nothing the second time', async () => {
    cli.write('in.jsonl', lines(30));
    expect((await cli.batch().ended).code).toBe(0);
    const second = await cli.batch('--out', 'again.jsonl', '--ordered').ended;
    expect(second.code).toBe(0);
    expect(second.stderr).toMatch(/hits +30\nupstream calls +0/);
    expect(cli.llm.asked).toHaveLength(30);
    expect(cli.results('again.jsonl')).toEqual(cli.results().sort((a, b) => Number(a.custom_id.slice(1)) - Number(b.custom_id.slice(1))));
  });

  it('takes the key from the environment, and shows it nowhere', async () => {
    cli.write('in.jsonl', lines(2));
    const words = ['batch', 'in.jsonl', '-o', 'out.jsonl', '--base-url', cli.llm.url];
    const first = await cli.start(words, { OPENAI_API_KEY: 'sk-secret' }).ended;
    const second = await cli.start([...words.slice(0, -2), '--api-key-env', 'OTHER', '--store', 'memory', '-o', 'two.jsonl'], { OTHER: 'sk-other', OPENAI_BASE_URL: cli.llm.url }).ended;
    expect([first.code, second.code]).toEqual([0, 0]);
    expect(cli.llm.asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer sk-secret', 'Bearer sk-secret', 'Bearer sk-other', 'Bearer sk-other']);
    expect(first.stderr + second.stderr + cli.text('out.jsonl') + cli.text('two.jsonl')).not.toContain('sk-');
  });
});

describe('standard input and output', () => {
  it('carry requests and results, and nothing else', async () => {
    const words = ['batch', '-', '--base-url', cli.llm.url, '--ordered'];
    const { code, stdout, stderr } = await cli.start(words).feed(`${lines(5)}nonsense\n${line('r0', 'again')}`).ended;
    expect(code).toBe(1);
    expect(resultsIn(stdout).map(({ custom_id: id }) => id)).toEqual(['r0', 'r1', 'r2', 'r3', 'r4']);
    expect(stderr).toMatch(/^stdin:6: not JSON; skipped\nstdin:7: "custom_id" was used before; skipped\nasked +5\n/);
  });

  it('end quietly when nobody reads on', async () => {
    cli.write('in.jsonl', lines(5_000));
    const started = cli.start(['batch', 'in.jsonl', '--base-url', cli.llm.url, '--store', 'memory', '--quiet']);
    started.leave();
    const { code, stderr } = await started.ended;
    expect({ code, stderr }).toEqual({ code: 141, stderr: '' });
    expect(cli.llm.asked.length).toBeLessThan(5_000);
  });
});

describe('stopped and started again', () => {
  const COUNT = 200;
  const CONCURRENCY = 8;

  /** What is asked twice can only be what was under way. */
  async function expectGoesOn(first: Ended, answered: number): Promise<void> {
    const before = cli.llm.asked.length;
    expect(before).toBeLessThan(COUNT);
    const second = await cli.batch('--concurrency', String(CONCURRENCY)).ended;
    expect(second.code).toBe(0);
    expect(cli.answers()).toEqual(answersTo(COUNT));
    expect(cli.llm.repeats).toBeLessThanOrEqual(CONCURRENCY);
    expect(answered).toBeGreaterThan(0);
    expect(first.stdout + second.stdout).toBe('');
  }

  it.each<[NodeJS.Signals, number]>([['SIGINT', 130], ['SIGTERM', 143], ['SIGKILL', 137]])('by %s, it goes on where it was', async (signal, expectedCode) => {
    cli.write('in.jsonl', lines(COUNT));
    cli.llm.respond = answer({ afterMs: 15 });
    const started = cli.batch('--concurrency', String(CONCURRENCY));
    await until(() => cli.lines() >= COUNT / 4);
    started.kill(signal);
    const ended = await started.ended;
    expect(ended.code).toBe(expectedCode);
    if (signal !== 'SIGKILL') expect(ended.stderr).toMatch(/upstream calls +\d+\n[^]*Interrupted\. The same command goes on from here\.\n$/);
    const answered = cli.results().length; // whole lines only
    await expectGoesOn(ended, answered);
  });

  it('by a second SIGINT, it ends at once', async () => {
    cli.write('in.jsonl', lines(100));
    cli.llm.respond = answer({ length: 10_000 });
    const started = cli.start(['batch', 'in.jsonl', '--base-url', cli.llm.url]);
    started.pause(); // the first waits for its reader
    await until(() => cli.llm.asked.length === 100);
    started.kill('SIGINT');
    await setTimeout(50);
    started.kill('SIGINT');
    expect(await started.exited).toBe('SIGINT');
  });
});

describe('a full disk', () => {
  const COUNT = 60;

  function expectStopped({ code, stderr }: Ended, problem: string, out: string): number {
    expect(code).toBe(2);
    expect(stderr).toContain(`${out}: ${problem}`);
    const written = cli.answers(out).length; // whole lines only
    expect(written).toBeGreaterThan(5);
    expect(written).toBeLessThan(COUNT);
    return written;
  }

  it('as a limit on the size of files: whole lines are kept, and it goes on when there is room', async () => {
    cli.write('in.jsonl', lines(COUNT));
    cli.llm.respond = answer({ length: 20_000 });
    const words = ['batch', 'in.jsonl', '--out', 'out.jsonl', '--base-url', cli.llm.url, '--store', 'memory'];
    const written = expectStopped(await cli.start(words, {}, '-f 1000').ended, 'it would be larger than is allowed (EFBIG)', 'out.jsonl');
    const asked = cli.llm.asked.length;
    expect((await cli.start(words).ended).code).toBe(0);
    expect(cli.answers()).toEqual(answersTo(COUNT));
    expect(cli.llm.asked).toHaveLength(asked + COUNT - written); // nothing that was written
  });

  it.each(canMount() ? ['a file system of 1 MB'] : [])('as %s: whole lines are kept, and it goes on when there is room', async () => {
    const disk = cli.path('disk');
    mkdirSync(disk);
    mount(disk);
    try {
      const ballast = `${disk}/ballast`;
      writeFileSync(ballast, Buffer.alloc(500_000));
      cli.write('in.jsonl', lines(COUNT));
      cli.llm.respond = answer({ length: 14_000 });
      const words = ['--out', 'disk/out.jsonl', '--concurrency', '4'];
      expectStopped(await cli.batch(...words).ended, 'the disk is full (ENOSPC)', 'disk/out.jsonl');
      rmSync(ballast);
      expect((await cli.batch(...words).ended).code).toBe(0);
      expect(cli.answers('disk/out.jsonl')).toEqual(answersTo(COUNT));
      expect(cli.llm.repeats).toBeLessThanOrEqual(4); // what was under way
    } finally {
      unmount(disk);
    }
  });
});

describe('wrong usage', () => {
  it.each<[string[], number, RegExp, RegExp]>([
    [['--help'], 0, /^Usage: nestjs-llm-cache batch/, /^$/],
    [[], 2, /^$/, /^There is no command\.\nTry: npx nestjs-llm-cache --help\n$/],
    [['batch', 'in.jsonl', '--outt', 'x'], 2, /^$/, /'--outt'/],
    [['batch', 'missing.jsonl', '--base-url', 'http://127.0.0.1:9'], 2, /^$/, /^Cannot read missing\.jsonl: there is no such file or folder \(ENOENT\)\.\n$/],
  ])('%j is said, with its exit code', async (words, code, stdout, stderr) => {
    const ended = await cli.start(words).ended;
    expect(ended).toEqual({ code, stdout: expect.stringMatching(stdout), stderr: expect.stringMatching(stderr) });
  });
});
