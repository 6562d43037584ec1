import { parseArgs, type ParseArgsConfig } from 'node:util';
import { CommandError } from './exit.js';
import { FLAGS, type Flag, type FlagName } from './flags.js';

type Read<Name extends FlagName> = NonNullable<ReturnType<(typeof FLAGS)[Name]['read']>>;

/** The flags of a batch as they were given, or as they are without. */
export type BatchFlags = {
  readonly [Name in FlagName]: (typeof FLAGS)[Name] extends { initial: string } ? Read<Name> : Read<Name> extends boolean ? boolean : Read<Name> | undefined;
};

/** What the command line asks for. */
export type Arguments =
  | { readonly command: 'help' }
  | { readonly command: 'version' }
  | { readonly command: 'batch'; readonly input: string; readonly flags: BatchFlags };

const NAMES = Object.keys(FLAGS) as FlagName[];
const TAKEN: ParseArgsConfig['options'] = {
  ...Object.fromEntries(NAMES.map((name) => [name, parseConfigOf(FLAGS[name])])),
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
};

function parseConfigOf({ value, short }: Flag<unknown>): NonNullable<ParseArgsConfig['options']>[string] {
  return { type: value === undefined ? 'boolean' : 'string', ...(short === undefined ? {} : { short }) };
}

/**
 * @param environment `OPENAI_BASE_URL` counts where `--base-url` is not given, as it does for OpenAI's own clients.
 * @throws CommandError that says what is wrong and what would be accepted.
 */
export function readArguments(words: readonly string[], environment: NodeJS.ProcessEnv): Arguments {
  const { values, positionals } = parse(words);
  if (values['help']) return { command: 'help' };
  if (values['version']) return { command: 'version' };
  const [command, input, ...rest] = positionals;
  if (command === undefined) throw wrongUsage('There is no command.');
  if (command !== 'batch') throw wrongUsage(`There is no command "${command}".`);
  if (input === undefined) throw wrongUsage('The file with the requests is missing; "-" is standard input.');
  if (rest.length > 0) throw wrongUsage(`One file at a time: "${rest[0]}" is one too many.`);
  const flags = Object.fromEntries(NAMES.map((name) => [name, valueOf(name, values[name], environment)]));
  return { command, input, flags: flags as BatchFlags };
}

function parse(words: readonly string[]): { values: Record<string, unknown>; positionals: string[] } {
  try {
    return parseArgs({ args: [...words], options: TAKEN, allowPositionals: true });
  } catch (error) {
    // Node's words name the option; its advice about positional arguments after `--` helps nobody here.
    const [problem] = (error as Error).message.split('. ');
    throw wrongUsage(`${problem!.replace(/\.$/, '')}.`);
  }
}

function valueOf(name: FlagName, given: unknown, environment: NodeJS.ProcessEnv): unknown {
  const flag: Flag<unknown> = FLAGS[name];
  if (flag.value === undefined) return given === true;
  const fromEnvironment = name === 'base-url' && given === undefined ? environment['OPENAI_BASE_URL'] || undefined : undefined;
  const written = (given as string | undefined) ?? fromEnvironment ?? flag.initial;
  if (written === undefined) return undefined;
  const value = flag.read(written);
  if (value !== undefined) return value;
  throw wrongUsage(`${fromEnvironment === undefined ? `--${name}` : 'OPENAI_BASE_URL'} must be ${flag.accepts}.`);
}

function wrongUsage(problem: string): CommandError {
  return new CommandError(`${problem}\nTry: npx nestjs-llm-cache --help`);
}
