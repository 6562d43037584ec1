import { FLAGS, type Flag } from './flags.js';

const WIDTH = 80;
const COLUMN = 30;

/** What `--help` says, within 80 columns. */
export function helpText(): string {
  const flags = Object.entries<Flag<unknown>>(FLAGS).map(([name, flag]) => row(`${shortOf(flag)}--${name}${flag.value === undefined ? '' : ` ${flag.value}`}`, helpOf(flag)));
  return `Usage: nestjs-llm-cache batch FILE [flags]

Answers the requests of a JSON Lines file in the OpenAI Batch format through
the cache: each question once, and none that was answered before. FILE may be
"-" for standard input. Results are lines in the same format, written as they
come. Stopped in any way and started again, it goes on where it was.

Flags:
${flags.join('\n')}
${row('-h, --help', 'this text')}
${row('-v, --version', 'the version of this package')}

Exit codes: 0 all answered; 1 some requests failed or lines were skipped;
2 wrong usage, or a file that cannot be read or written; 130 after ctrl-C.

Example:
  nestjs-llm-cache batch in.jsonl --out out.jsonl --model gpt-4o-mini
`;
}

function shortOf({ short }: Flag<unknown>): string {
  return short === undefined ? '    ' : `-${short}, `;
}

function helpOf({ help, initial }: Flag<unknown>): string {
  return initial === undefined ? help : `${help} (default ${initial})`;
}

function row(left: string, right: string): string {
  const lines = wrapped(right, WIDTH - COLUMN);
  return lines.map((line, index) => (index === 0 ? `  ${left}`.padEnd(COLUMN) : ' '.repeat(COLUMN)) + line).join('\n');
}

function wrapped(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}
