import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const commandLine = fileURLToPath(new URL('../../dist/esm/cli/main.js', import.meta.url));

/** Sixty support tickets to summarize, and people write the same. */
export const TICKETS = fileURLToPath(new URL('../data/tickets.jsonl', import.meta.url));

/** `npx nestjs-llm-cache batch`, which draws its own progress bar and says itself what it took. */
export async function runBatch(flags) {
  const child = spawn(process.execPath, [commandLine, 'batch', TICKETS, ...flags], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(child, 'exit');
  return code;
}

/** The lines of a JSON Lines file. */
export function linesOf(file) {
  return readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));
}
