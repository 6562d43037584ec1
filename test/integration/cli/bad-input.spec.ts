import { chmodSync, existsSync, linkSync, mkdirSync, symlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { answersTo, CommandLine, line, lines } from '../../fixtures/cli/command-line.js';

let cli: CommandLine;
beforeEach(async () => (cli = await CommandLine.open()));
afterEach(() => cli.close());

const isRoot = process.getuid?.() === 0;
const latin1 = Buffer.concat([Buffer.from(line('x', 'caf')), Buffer.from([0xe9])]);
const utf16 = Buffer.from(`\uFEFF${line('x', 'a')}`, 'utf16le').toString('latin1');
const huge = line('huge', 'x'.repeat(50_000_000));

describe('a malformed line', () => {
  const cases: Array<[string, string | Buffer, string]> = [
    ['no JSON', '{"custom_id": "x", ', 'not JSON'],
    ['a JSON text', '"text"', 'not an object'],
    ['a list', '[]', 'not an object'],
    ['invalid UTF-8', latin1, 'not UTF-8'],
    ['UTF-16', Buffer.from(utf16, 'latin1'), 'not UTF-8'],
    ['50 MB', huge, 'longer than 16 MiB'],
    ['no custom_id', '{"body":{"messages":[]}}', '"custom_id" must be a text that is not empty'],
    ['a number as custom_id', '{"custom_id":7,"body":{"messages":[]}}', '"custom_id" must be a text that is not empty'],
    ['another method', line('x', 'a', {}, { method: 'GET' }), '"method" must be "POST"'],
    ['an unknown url', line('x', 'a', {}, { url: '/v1/embeddings' }), '"url" must be "/v1/chat/completions"'],
    ['no body', '{"custom_id":"x"}', '"body" must be a chat request with a list of "messages"'],
    ['a body without messages', '{"custom_id":"x","body":{"model":"m"}}', '"body" must be a chat request with a list of "messages"'],
    ['a custom_id that was there', line('r0', 'another question'), '"custom_id" was used before'],
    ['the same line again', line('r1', 'question 1'), '"custom_id" was used before'],
  ];
  const inputWith = (bad: string | Buffer): Buffer => Buffer.concat([Buffer.from(lines(2)), Buffer.from(bad), Buffer.from(`\n${lines(1, 2)}`)]);

  it.each(cases)('(%s) is reported with its number and skipped', async (_what, bad, problem) => {
    cli.write('in.jsonl', inputWith(bad));
    const { code, stderr } = await cli.run();
    expect(code).toBe(1);
    expect(stderr).toContain(`in.jsonl:3: ${problem}; skipped\n`);
    expect(stderr).toMatch(/asked +3\n[^]*skipped lines +1\n/);
    expect(cli.answers()).toEqual(answersTo(3));
  });

  it.each(cases)('(%s) stops with --strict, before anything is asked', async (_what, bad, problem) => {
    cli.write('in.jsonl', inputWith(bad));
    const { code, stderr } = await cli.run('--strict');
    expect(code).toBe(2);
    expect(stderr).toMatch(new RegExp(`in\\.jsonl:3: ${problem}\\. Stopped, for --strict\\.\n$`));
    expect(cli.llm.asked).toHaveLength(0);
    expect(existsSync(cli.path('out.jsonl'))).toBe(false);
  });

  it('is shown without its content, and no more than twenty of them', async () => {
    cli.write('in.jsonl', 'my secret\n'.repeat(1_000));
    const { code, stderr } = await cli.run('--quiet');
    expect(code).toBe(1);
    expect(stderr.split('\n')).toHaveLength(22);
    expect(stderr).toContain('more lines like these are skipped in silence');
    expect(stderr).not.toContain('secret');
  });
});

describe('an input', () => {
  const two = `${line('r0', 'question 0')}\r\n\r\n   \n${line('r1', 'question 1')}`;

  it.each<[string, string, number]>([
    ['is empty', '', 0],
    ['holds blank lines only', '\n\r\n  \n', 0],
    ['has CRLF, blank lines and no newline at its end', two, 2],
    ['starts with a byte order mark', `\uFEFF${two}\n`, 2],
    ['has spaces around its lines', `  ${two}  \n`, 2],
    ['leaves method and url out', `{"custom_id":"r0","body":{"messages":[{"role":"user","content":"question 0"}]}}\n`, 1],
  ])('that %s is fine', async (_what, content, count) => {
    cli.write('in.jsonl', content);
    const { code } = await cli.run();
    expect(code).toBe(0);
    expect(cli.answers()).toEqual(answersTo(count));
  });

  it('that asks for streams is answered whole, from one entry', async () => {
    cli.write('in.jsonl', `${line('a', 'same', { stream: true, stream_options: { include_usage: true } })}\n${line('b', 'same')}\n`);
    expect((await cli.run()).code).toBe(0);
    expect(cli.llm.asked).toHaveLength(1);
    expect(cli.llm.asked[0]!.body).not.toHaveProperty('stream');
    expect(cli.answers()).toEqual(['a: Answer to: same', 'b: Answer to: same']);
  });

  it.each<[string, () => void, RegExp]>([
    ['is missing', () => undefined, /Cannot read .*in\.jsonl: there is no such file or folder \(ENOENT\)/],
    ['is a folder', () => mkdirSync(cli.path('in.jsonl')), /Cannot read .*in\.jsonl: it is a folder \(EISDIR\)/],
    ...(isRoot ? [] : [['may not be read', () => (cli.write('in.jsonl', ''), chmodSync(cli.path('in.jsonl'), 0)), /permission denied \(EACCES\)/] as [string, () => void, RegExp]]),
  ])('that %s is said', async (_what, prepare, message) => {
    prepare();
    const { code, stderr } = await cli.run();
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(message) });
  });
});

describe('an output', () => {
  it.each<[string, string, () => void, RegExp]>([
    ['is the input', 'in.jsonl', () => undefined, /in\.jsonl is the input; the output must be another file\./],
    ['links to the input', 'link.jsonl', () => symlinkSync(cli.path('in.jsonl'), cli.path('link.jsonl')), /link\.jsonl is the input/],
    ['is another name of the input', 'hard.jsonl', () => linkSync(cli.path('in.jsonl'), cli.path('hard.jsonl')), /hard\.jsonl is the input/],
    ['is the store', 'cache.db', () => undefined, /cache\.db is the store; the output must be another file\./],
    ['is a folder', 'folder', () => mkdirSync(cli.path('folder')), /Cannot write .*folder: it is a folder \(EISDIR\)/],
    ['is in no folder', 'none/out.jsonl', () => undefined, /Cannot write .*out\.jsonl: there is no such file or folder \(ENOENT\)/],
    ['has a file for a folder', 'in.jsonl/out.jsonl', () => undefined, /Cannot write .*out\.jsonl: a part of its path is no folder \(ENOTDIR\)/],
  ])('that %s is said before anything is asked', async (_what, out, prepare, message) => {
    cli.write('in.jsonl', lines(2));
    prepare();
    const { code, stderr } = await cli.run('--out', cli.path(out), '--store', `sqlite:${cli.path('cache.db')}`);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(message) });
    expect(cli.llm.asked).toHaveLength(0);
    expect(cli.text('in.jsonl')).toBe(lines(2));
  });

  it('is not the store’s file, and neither is the input', async () => {
    cli.write('in.jsonl', lines(2));
    const { code, stderr } = await cli.run('--store', `sqlite:${cli.path('in.jsonl')}`);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('is the store; the input must be another file.') });
    expect(cli.text('in.jsonl')).toBe(lines(2));
  });

  it('may be a device', async () => {
    cli.write('in.jsonl', lines(2));
    expect((await cli.run('--out', '/dev/null')).code).toBe(0);
  });

  (existsSync('/dev/full') ? it : it.skip)('that takes nothing is said', async () => {
    cli.write('in.jsonl', lines(2));
    const { code, stderr } = await cli.run('--out', '/dev/full');
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('Cannot write /dev/full: the disk is full (ENOSPC).') });
  });
});

describe('a server that needs a key', () => {
  it('is not asked without one', async () => {
    cli.write('in.jsonl', lines(2));
    const { code, stderr } = await cli.runWith({}, ['batch', cli.path('in.jsonl'), '-o', cli.path('out.jsonl'), '--store', 'memory']);
    expect({ code, stderr }).toEqual({ code: 2, stderr: 'api.openai.com wants an API key: set OPENAI_API_KEY, or name another server with --base-url.\n' });
    expect(existsSync(cli.path('out.jsonl'))).toBe(false);
  });

  it('of one’s own gets none where there is none', async () => {
    cli.write('in.jsonl', lines(1));
    expect((await cli.run()).code).toBe(0);
    expect(cli.llm.asked[0]!.headers.authorization).toBeUndefined();
  });
});
