import { createRequire } from 'node:module';
import { LlmCacheError } from '../core/errors.js';
import { readArguments } from './arguments.js';
import { CommandError, EXIT } from './exit.js';
import { helpText } from './help.js';
import type { Surroundings } from './surroundings.js';

/** Runs a command to its end. Never rejects. @returns the exit code */
export async function commandLine(words: readonly string[], around: Surroundings): Promise<number> {
  try {
    const given = readArguments(words, around.environment);
    if (given.command === 'batch') {
      const { batchCommand } = await import('./batch-command.js'); // who asks for help need not wait for it
      return await batchCommand(given, around);
    }
    around.stdout.write(given.command === 'help' ? helpText() : `${versionOf()}\n`);
    return EXIT.done;
  } catch (error) {
    const message = messageOf(error);
    if (message !== '') around.stderr.write(`${message}\n`);
    return error instanceof CommandError ? error.exitCode : EXIT.refused;
  }
}

/** What nobody foresaw is shown whole. */
function messageOf(error: unknown): string {
  if (error instanceof CommandError || LlmCacheError.isInstance(error)) return (error as Error).message;
  return error instanceof Error ? error.stack! : String(error);
}

function versionOf(): string {
  return (createRequire(import.meta.url)('nestjs-llm-cache/package.json') as { version: string }).version;
}
