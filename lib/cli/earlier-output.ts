import { createReadStream } from 'node:fs';
import { open, rename, rm, stat, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MAX_LINE_BYTES } from './batch-input.js';
import { CommandError, fileProblem } from './exit.js';
import { linesOf } from './line-reader.js';
import { mayBeResult, readResultLine } from './result-line.js';
import type { Keep } from './roster.js';

interface Range {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** What an output file holds from an earlier run. */
export interface EarlierOutput {
  /** Answers that stay. */
  readonly kept: number;
  /** Lines that go: failed ones, answers to other questions, doubled ones. */
  readonly dropped: number;
  /** Where the kept lines are, neighbours joined. */
  readonly ranges: readonly Range[];
  /** Bytes in all. */
  readonly size: number;
}

export const NOTHING_EARLIER: EarlierOutput = { kept: 0, dropped: 0, ranges: [], size: 0 };

/**
 * Looks through an output file. A half line at its end, left by a process that was killed, goes too.
 * @throws CommandError for a file that is no output of a batch: it is somebody's, and would be overwritten.
 */
export async function readEarlier(path: string, keep: Keep): Promise<EarlierOutput> {
  const ranges: Range[] = [];
  let [kept, dropped, size] = [0, 0, 0];
  try {
    for await (const { number, bytes, start, end, isWhole } of linesOf(createReadStream(path) as AsyncIterable<Uint8Array>, MAX_LINE_BYTES)) {
      size = end;
      const result = isWhole ? readResultLine(bytes) : undefined;
      if (result === undefined && (isWhole || !mayBeResult(bytes))) {
        throw new CommandError(`${path} is there and holds no results of a batch (line ${number}). Name another --out, or remove it.`);
      }
      if (result === undefined || !keep(result)) {
        if (isWhole) dropped++;
        continue;
      }
      kept++;
      if (ranges.at(-1)?.end === start) ranges.push({ start: ranges.pop()!.start, end });
      else ranges.push({ start, end });
    }
  } catch (error) {
    throw error instanceof CommandError ? error : fileProblem('read', path, error);
  }
  return { kept, dropped, ranges, size };
}

/** Brings the file to its kept lines: by cutting its end off, or else by a copy that takes its place at once. */
export async function keepOnly(path: string, { ranges, size }: EarlierOutput): Promise<void> {
  try {
    const [first = { start: 0, end: 0 }] = ranges;
    if (ranges.length < 2 && first.start === 0 && first.end === size) return;
    if (ranges.length < 2 && first.start === 0) await truncate(path, first.end);
    else await rewrite(path, ranges);
  } catch (error) {
    throw fileProblem('write', path, error);
  }
}

async function rewrite(path: string, ranges: readonly Range[]): Promise<void> {
  const copy = `${path}.rewriting`;
  try {
    const { mode } = await stat(path);
    const file = await open(copy, 'w', mode);
    try {
      for (const { start, end } of ranges) {
        for await (const chunk of createReadStream(path, { start, end: end - 1 })) await file.writeFile(chunk as Uint8Array);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(copy, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(copy, { force: true });
    throw error;
  }
}

/** Where the system can: without it a power cut may bring the old file back, which is no harm. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder).catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}
