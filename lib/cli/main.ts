#!/usr/bin/env node
import { commandLine } from './command-line.js';
import { Interrupted } from './exit.js';

/** Node 22 calls its SQLite experimental, which says nothing to who runs a command. */
function hideExperimentalWarnings(): void {
  process.removeAllListeners('warning');
  process.on('warning', (warning) => warning.name !== 'ExperimentalWarning' && console.error(`${warning.name}: ${warning.message}`));
}

/** The second signal finds nobody who listens, and ends the process at once. */
function abortedBySignals(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort(new Interrupted(signal)));
  return controller.signal;
}

hideExperimentalWarnings();
const { env: environment, stdin, stdout, stderr } = process;
// Whoever reads these has left: there is nobody to tell.
for (const stream of [stdout, stderr]) stream.on('error', () => undefined);
process.exitCode = await commandLine(process.argv.slice(2), { environment, stdin, stdout, stderr, signal: abortedBySignals() });
stdin.destroy(); // else a terminal or a pipe that goes on would keep the process
