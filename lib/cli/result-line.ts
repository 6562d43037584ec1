import { isRecord } from '../core/check-options.js';
import type { BatchItem } from '../llm/batch/batch-options.js';
import { ServerError } from './server-error.js';

const ID = 'batch_req_';
const DIGITS = 12;

/** A line of the output, as far as a later run has to know it. */
export interface EarlierResult {
  readonly customId: string;
  /** The question it answers; NaN where another program wrote it. */
  readonly mark: number;
  readonly isAnswer: boolean;
}

/** One line in the format of OpenAI's output files. `error` is set for every failure, also where the server answered. */
export function resultLine(customId: string, mark: number, { response: body, error }: BatchItem): string {
  const id = ID + mark.toString(16).padStart(DIGITS, '0');
  const line =
    error === undefined
      ? { id, custom_id: customId, response: { status_code: 200, request_id: body!['id'] ?? null, body }, error: null }
      : { id, custom_id: customId, response: answerOf(error), error: { code: codeOf(error), message: error.message } };
  return `${JSON.stringify(line)}\n`;
}

function answerOf(error: Error): object | null {
  return error instanceof ServerError ? { status_code: error.status, request_id: error.requestId, body: error.body } : null;
}

/** A short name of a failure, such as `rate_limit_exceeded`, `429` or `ECONNREFUSED`. */
export function codeOf(error: Error): string {
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && code !== '') return code;
  return error instanceof ServerError ? String(error.status) : error.name;
}

/** `undefined` for what is no line of an output. */
export function readResultLine(line: Buffer | undefined): EarlierResult | undefined {
  let result: unknown;
  try {
    result = JSON.parse(String(line));
  } catch {
    return undefined;
  }
  if (!isRecord(result) || typeof result['custom_id'] !== 'string' || !('response' in result) || !('error' in result)) return undefined;
  const { id, custom_id: customId, response, error } = result;
  const digits = typeof id === 'string' && id.length === ID.length + DIGITS && id.startsWith(ID) ? id.slice(ID.length) : '';
  return {
    customId,
    mark: /^[0-9a-f]+$/.test(digits) ? Number.parseInt(digits, 16) : Number.NaN,
    isAnswer: error === null && isRecord(response) && response['status_code'] === 200,
  };
}

/** Whether a last line without its end may be the beginning of a result. */
export function mayBeResult(line: Buffer | undefined): boolean {
  const start = String(line?.subarray(0, ID.length + 7));
  return `{"id":"${ID}`.startsWith(start) || start.startsWith(`{"id":"${ID}`);
}
