import { setTimeout as delay } from 'node:timers/promises';
import { isRecord } from '../core/check-options.js';
import { parseJson } from '../core/json.js';
import { ConnectionError, ServerError } from './server-error.js';
import type { ChatRequest, ChatResponse, LlmProvider } from '../llm/chat.js';
import { endpointOf } from '../llm/providers/endpoint.js';

/** Statuses that the next try may not meet again. Those that mean "later" are the batch's to wait for. */
const WORTH_ANOTHER_TRY: ReadonlySet<number> = new Set([408, 409, 500, 502, 503, 504, 529]);
const FIRST_PAUSE_MS = 500;

export interface HttpProviderOptions {
  readonly baseUrl: URL;
  /** A local server may need none. */
  readonly apiKey: string | undefined;
  /** Tries after the first. */
  readonly retries: number;
  readonly timeoutMs: number;
}

/** Any server that speaks OpenAI's chat completions. Its id is that of `openAiProvider`, so an app may share the answers. */
export function httpProvider({ baseUrl, apiKey, retries, timeoutMs }: HttpProviderOptions): LlmProvider {
  const url = new URL(baseUrl);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/chat/completions`;
  const headers = { 'content-type': 'application/json', ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }) };

  async function once(body: string, caller: AbortSignal): Promise<ChatResponse> {
    caller.throwIfAborted();
    const { signal, hasTimedOut, release } = withTimeout(caller, timeoutMs);
    try {
      // A redirect would turn the request into another; and the key is for this server alone.
      const response = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'manual' });
      return answerIn(response, await response.text());
    } catch (error) {
      caller.throwIfAborted();
      if (error instanceof ServerError) throw error;
      throw new ConnectionError(hasTimedOut() ? 'ETIMEDOUT' : systemCodeOf(error), { cause: error });
    } finally {
      release();
    }
  }

  return {
    id: `openai:${endpointOf(baseUrl.href)}`,
    async chat({ headers: _headers, timeout: _timeout, ...request }: ChatRequest, { signal }): Promise<ChatResponse> {
      const body = JSON.stringify(request);
      for (let tried = 0; ; tried++) {
        try {
          return await once(body, signal);
        } catch (error) {
          if (signal.aborted || tried >= retries || !isWorthAnotherTry(error)) throw error;
          await delay(FIRST_PAUSE_MS * 2 ** tried, undefined, { signal });
        }
      }
    },
  };
}

/** `AbortSignal.timeout` and `any` would each be held for the whole of the time, long after an answer has come. */
function withTimeout(caller: AbortSignal, ms: number): { signal: AbortSignal; hasTimedOut: () => boolean; release: () => void } {
  const controller = new AbortController();
  let isOver = false;
  const stop = (): void => controller.abort();
  const timer = setTimeout(() => {
    isOver = true;
    stop();
  }, ms);
  caller.addEventListener('abort', stop);
  return {
    signal: controller.signal,
    hasTimedOut: () => isOver,
    release: () => {
      clearTimeout(timer);
      caller.removeEventListener('abort', stop);
    },
  };
}

function answerIn(response: Response, text: string): ChatResponse {
  const { status, headers } = response;
  const body = jsonIn(text);
  const refusal = isRecord(body) && isRecord(body['error']) && !Array.isArray(body['choices']) ? body['error'] : undefined;
  if (response.ok && body !== undefined && refusal === undefined) return body as ChatResponse;
  if (status >= 300 && status < 400) throw new ServerError(status, headers, null, ', a redirect. Is --base-url right?');
  if (body === undefined) throw new ServerError(status, headers, null, ` with ${kindOf(headers)} instead of JSON. Is --base-url right?`);
  // Gateways answer 200 and put the status of the server behind them into the body.
  const inner = refusal?.['code'];
  throw new ServerError(response.ok && isErrorStatus(inner) ? inner : status, headers, body);
}

function isErrorStatus(code: unknown): code is number {
  return Number.isInteger(code) && (code as number) >= 400 && (code as number) < 600;
}

function jsonIn(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/** Such as `text/html`. What says that it is JSON and is not was cut short somewhere. */
function kindOf(headers: Headers): string {
  const kind = /^[\w.+-]+\/[\w.+-]+/.exec(headers.get('content-type') ?? '')?.[0] ?? 'a body';
  return kind.endsWith('json') ? 'half a text' : kind;
}

/** With `Retry-After` it is a matter of waiting, which the batch does for all requests. */
function isWorthAnotherTry(error: unknown): boolean {
  return error instanceof ConnectionError || (error instanceof ServerError && WORTH_ANOTHER_TRY.has(error.status) && !error.headers.has('retry-after'));
}

/** `fetch` throws "fetch failed", and has the system's code further down. */
function systemCodeOf(error: unknown): string {
  for (let cause = error, depth = 0; isRecord(cause) && depth < 5; cause = cause['cause'], depth++) {
    const { code } = cause;
    if (typeof code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(code)) return code;
  }
  return 'EFETCH';
}
