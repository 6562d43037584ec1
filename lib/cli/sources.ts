import { createReadStream } from 'node:fs';
import type { BatchLine } from '../llm/batch/batch-options.js';
import { requestsIn } from './batch-input.js';
import type { Complaints } from './complaints.js';
import { fileProblem } from './exit.js';
import type { Identify, Question } from './question.js';
import type { Roster } from './roster.js';

/** Is told of each request that is handed out. */
export type OnAsked = (request: BatchLine, question: Question) => void;

/** Reads a file; its errors name it. */
async function* bytesOf(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* createReadStream(path, { signal, highWaterMark: 256 * 1024 }) as AsyncIterable<Uint8Array>;
  } catch (error) {
    signal.throwIfAborted();
    throw fileProblem('read', path, error);
  }
}

/**
 * Reads a whole file into the roster before anything is asked: how many requests there are, which lines are none, and
 * which `custom_id` comes twice.
 */
export async function survey(path: string, roster: Roster, identify: Identify, complaints: Complaints, signal: AbortSignal): Promise<void> {
  for await (const line of requestsIn(bytesOf(path, signal))) {
    if ('problem' in line) complaints.add(line.number, line.problem);
    else if (!roster.add(line.request.custom_id, identify(line.request).mark)) complaints.add(line.number, REPEATED);
  }
}

const REPEATED = '"custom_id" was used before';

/** The requests of a surveyed file that are still open. */
export function openRequests(path: string, roster: Roster, identify: Identify, onAsked: OnAsked, signal: AbortSignal): AsyncIterable<BatchLine> & { size: number } {
  return {
    size: roster.open,
    async *[Symbol.asyncIterator]() {
      for await (const line of requestsIn(bytesOf(path, signal))) {
        if ('problem' in line) continue; // the survey has told
        const question = identify(line.request);
        if (!roster.settle(line.request.custom_id, question.mark)) continue;
        onAsked(line.request, question);
        yield line.request;
      }
    },
  };
}

/** The requests of a stream, which can be read once only: each is looked at when it comes. */
export async function* arrivingRequests(
  stream: AsyncIterable<Uint8Array>, roster: Roster, identify: Identify, complaints: Complaints, onAsked: OnAsked,
): AsyncGenerator<BatchLine, void, undefined> {
  const came = new Set<string>();
  for await (const line of requestsIn(stream)) {
    if ('problem' in line) {
      complaints.add(line.number, line.problem);
      continue;
    }
    const { custom_id: id } = line.request;
    const question = identify(line.request);
    const earlier = roster.markOf(id);
    if (came.has(id)) complaints.add(line.number, REPEATED);
    else if (earlier !== undefined && earlier !== question.mark) complaints.add(line.number, '"custom_id" has the answer to another question in the output');
    came.add(id);
    roster.add(id, question.mark);
    if (!roster.settle(id, question.mark)) continue;
    onAsked(line.request, question);
    yield line.request;
  }
}
