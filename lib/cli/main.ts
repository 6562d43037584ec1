#!/usr/bin/env node
import { createRequire } from 'node:module';
import { LlmCacheError } from '../core/errors.js';
import { readArguments } from './arguments.js';
import { batchCommand } from './batch-command.js';
import { CommandError, EXIT, Interrupted } from './exit.js';
import { helpText } from './help.js';
import { Terminal } from './terminal.js';

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;

/** Node 22 calls its SQLite experimental, which says nothing to who runs a command. */
function hideExperimentalWarnings(): void {
  process.removeAllListeners('warning');
  process.on('warning', (warning) => warning.name !== 'ExperimentalWarning' && console.error(`${warning.name}: ${warning.message}`));
}

async function commandLine(words: readonly string[]): Promise<number> {
  const { env: environment, stdin, stdout, stderr } = process;
  const given = readArguments(words, environment);
  if (given.command === 'help') return print(helpText());
  if (given.command === 'version') return print(`${versionOf()}\n`);
  const resultsAreShown = given.flags.out === '-' && stdout.isTTY;
  const terminal = new Terminal(stderr, { quiet: given.flags.quiet, bar: stderr.isTTY && !resultsAreShown, now: () => performance.now() });
  const controller = new AbortController();
  // The second signal finds nobody here, and ends the process at once.
  for (const signal of SIGNALS) process.once(signal, () => controller.abort(new Interrupted(signal)));
  return batchCommand(given, { environment, stdin, stdout, terminal, signal: controller.signal });
}

function print(text: string): number {
  process.stdout.write(text);
  return EXIT.done;
}

function versionOf(): string {
  return (createRequire(import.meta.url)('nestjs-llm-cache/package.json') as { version: string }).version;
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommandError) {
    if (error.message !== '') console.error(error.message);
    return error.exitCode;
  }
  console.error(LlmCacheError.isInstance(error) ? error.message : error);
  return EXIT.refused;
}

hideExperimentalWarnings();
// Whoever reads these has left: there is nobody to tell.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
process.exitCode = await commandLine(process.argv.slice(2)).catch(exitCodeOf);
process.stdin.destroy();
