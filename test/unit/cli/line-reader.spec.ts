import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { linesOf, type Line } from '../../../lib/cli/line-reader.js';

async function all(chunks: Iterable<Uint8Array>, maxBytes = 100): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of linesOf(chunks, maxBytes)) lines.push(line);
  return lines;
}

const bytes = (text: string): Buffer => Buffer.from(text);

describe('linesOf', () => {
  it.each<[string, string[], string[]]>([
    ['nothing', [], []],
    ['empty chunks', ['', ''], []],
    ['one line', ['a\n'], ['a']],
    ['a last line without an end', ['a\nb'], ['a', 'b…']],
    ['blank lines', ['\n\na\n'], ['', '', 'a']],
    ['a line in pieces', ['a', 'b', 'c\nd', '\n'], ['abc', 'd']],
    ['a newline alone in a chunk', ['a', '\n', 'b\n'], ['a', 'b']],
  ])('reads %s', async (_what, chunks, expected) => {
    const lines = await all(chunks.map(bytes));
    expect(lines.map(({ bytes: content, isWhole }) => `${String(content)}${isWhole ? '' : '…'}`)).toEqual(expected);
    expect(lines.map(({ number }) => number)).toEqual(expected.map((_line, index) => index + 1));
  });

  it('says where lines start and end, however they are cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 30 })), fc.array(fc.nat(20)), async (contents, cuts) => {
        const whole = Buffer.concat(contents.flatMap((content) => [content, bytes('\n')]));
        const chunks: Buffer[] = [];
        for (let at = 0, next = 0; at < whole.length; next++) chunks.push(whole.subarray(at, (at += 1 + (cuts[next % Math.max(1, cuts.length)] ?? 7))));
        const lines = await all(chunks);
        expect(Buffer.concat(lines.map(({ start, end }) => whole.subarray(start, end)))).toEqual(whole);
        for (const { start, end, bytes: content } of lines) expect(whole.subarray(start, end - 1)).toEqual(content);
      }),
    );
  });

  it('passes over a line that is too long, and holds none of it', async () => {
    const lines = await all(['ok\n', 'x'.repeat(99), 'xx', 'x'.repeat(50), '\nok\n', 'y'.repeat(100), '\n', 'z'.repeat(101)].map(bytes));
    expect(lines.map(({ bytes: content }) => content?.length)).toEqual([2, undefined, 2, 100, undefined]);
    expect(lines.map(({ start, end }) => end - start)).toEqual([3, 152, 3, 101, 101]);
    expect(lines.at(-1)!.isWhole).toBe(false);
  });
});
