import { describe, expect, it } from '@jest/globals';
import { readArguments, type Arguments } from '../../../lib/cli/arguments.js';
import { CommandError } from '../../../lib/cli/exit.js';
import { FLAGS } from '../../../lib/cli/flags.js';
import { helpText } from '../../../lib/cli/help.js';

const read = (words: string, environment: NodeJS.ProcessEnv = {}): Arguments => readArguments(words.split(' ').filter((word) => word !== ''), environment);
const flagsOf = (words: string, environment?: NodeJS.ProcessEnv): Record<string, unknown> => ({ ...(read(`batch in.jsonl ${words}`, environment) as { flags: object }).flags });

function problemOf(words: string, environment?: NodeJS.ProcessEnv): string {
  try {
    read(words, environment);
  } catch (error) {
    expect(error).toBeInstanceOf(CommandError);
    expect((error as CommandError).exitCode).toBe(2);
    return (error as Error).message;
  }
  throw new Error(`accepted: ${words}`);
}

describe('the flags', () => {
  it('are these when none is given', () => {
    expect(flagsOf('')).toEqual({
      'out': '-',
      'store': { kind: 'sqlite', path: './llm-cache.db' },
      'base-url': new URL('https://api.openai.com/v1'),
      'api-key-env': 'OPENAI_API_KEY',
      'model': undefined,
      'ttl': '30d',
      'namespace': 'llm',
      'concurrency': 8,
      'requests-per-minute': undefined,
      'tokens-per-minute': undefined,
      'retry-for': '10m',
      'retries': 2,
      'timeout': '5m',
      'ordered': false,
      'strict': false,
      'dry-run': false,
      'quiet': false,
    });
  });

  it.each<[string, string, unknown]>([
    ['-o out.jsonl', 'out', 'out.jsonl'],
    ['--out=out.jsonl', 'out', 'out.jsonl'],
    ['--out -', 'out', '-'],
    ['-m gpt-4o-mini', 'model', 'gpt-4o-mini'],
    ['-q', 'quiet', true],
    ['--store memory', 'store', { kind: 'memory' }],
    ['--store sqlite:/var/a:b.db', 'store', { kind: 'sqlite', path: '/var/a:b.db' }],
    ['--base-url http://localhost:11434/v1/', 'base-url', new URL('http://localhost:11434/v1/')],
    ['--concurrency 32', 'concurrency', 32],
    ['--retries 0', 'retries', 0],
    ['--ttl 12h', 'ttl', '12h'],
  ])('%s', (words, name, value) => expect(flagsOf(words)[name]).toEqual(value));

  it('has a base URL from the environment, as OpenAI’s clients do, unless one is given', () => {
    const environment = { OPENAI_BASE_URL: 'http://localhost:1/v1' };
    expect(String(flagsOf('', environment)['base-url'])).toBe('http://localhost:1/v1');
    expect(String(flagsOf('--base-url http://localhost:2/v1', environment)['base-url'])).toBe('http://localhost:2/v1');
    expect(String(flagsOf('', { OPENAI_BASE_URL: '' })['base-url'])).toBe('https://api.openai.com/v1');
  });

  it.each<[string, string]>([
    ['', 'There is no command.'],
    ['bach in.jsonl', 'There is no command "bach".'],
    ['batch', 'The file with the requests is missing; "-" is standard input.'],
    ['batch a.jsonl b.jsonl', 'One file at a time: "b.jsonl" is one too many.'],
    ['batch a.jsonl --outt b', "Unknown option '--outt'."],
    ['batch a.jsonl -x', "Unknown option '-x'."],
    ['batch a.jsonl --api-key sk-1', "Unknown option '--api-key'."],
    ['batch a.jsonl --out', "Option '-o, --out <value>' argument missing."],
    ['batch a.jsonl --strict=no', "Option '--strict' does not take an argument."],
    ['batch a.jsonl --store redis://localhost', '--store must be memory, or sqlite: and the path of a file.'],
    ['batch a.jsonl --store sqlite:', '--store must be memory, or sqlite: and the path of a file.'],
    ['batch a.jsonl --store sqlite::memory:', '--store must be memory, or sqlite: and the path of a file.'],
    ['batch a.jsonl --base-url localhost', '--base-url must be an http or https URL without user and password.'],
    ['batch a.jsonl --base-url localhost:11434/v1', '--base-url must be an http or https URL without user and password.'],
    ['batch a.jsonl --base-url http://user:secret@localhost/v1', '--base-url must be an http or https URL without user and password.'],
    ['batch a.jsonl --concurrency 0', '--concurrency must be a positive whole number.'],
    ['batch a.jsonl --concurrency=-1', '--concurrency must be a positive whole number.'],
    ['batch a.jsonl --concurrency many', '--concurrency must be a positive whole number.'],
    ['batch a.jsonl --retries 1.5', '--retries must be a whole number.'],
    ['batch a.jsonl --ttl 30', '--ttl must be a duration such as 500ms, 30s, 15m, 12h or 7d, at most 36500d.'],
    ['batch a.jsonl --timeout 10m', '--timeout must be a duration such as 500ms, 30s, 15m, 12h or 7d, at most 5m.'],
    ['batch a.jsonl --model=', '--model must be a text.'],
  ])('%j is refused', (words, problem) => expect(problemOf(words)).toBe(`${problem}\nTry: npx nestjs-llm-cache --help`));

  it('names the variable when that is what is wrong', () => {
    expect(problemOf('batch a.jsonl', { OPENAI_BASE_URL: 'nonsense' })).toContain('OPENAI_BASE_URL must be an http or https URL');
  });
});

describe('help', () => {
  it.each(['--help', '-h', 'batch --help', 'batch in.jsonl -h'])('comes with %s', (words) => expect(read(words)).toEqual({ command: 'help' }));
  it.each(['--version', '-v'])('has a neighbour in %s', (words) => expect(read(words)).toEqual({ command: 'version' }));

  it('fits 80 columns, names every flag and every default, and leaves a space beside them', () => {
    const lines = helpText().split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    for (const [name, flag] of Object.entries(FLAGS)) {
      const line = lines.find((text) => text.includes(`--${name}`))!;
      expect(line).toMatch(new RegExp(`^ {2}(-\\w, | {4})--${name}( [A-Z]+)? {1,}[a-zA-Z"]`));
      if ('initial' in flag) expect(helpText().replaceAll(/\s+/g, ' ')).toContain(`(default ${flag.initial})`);
    }
  });
});
