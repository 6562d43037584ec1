import { isRecord } from '../core/check-options.js';

/** What a server answered instead of a chat completion. Its message holds no content: the body is for the output alone. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
  /** The server's own word for it, such as `insufficient_quota`. */
  readonly code: string | undefined;

  constructor(
    readonly status: number,
    readonly headers: Headers,
    /** As JSON; `null` where it was none. */
    readonly body: unknown,
    /** The rest of the sentence. */
    problem = '.',
  ) {
    const code = codeIn(body);
    super(`The server answered ${status}${code === undefined ? '' : ` (${code})`}${problem}`);
    this.code = code;
  }

  get requestId(): string | null {
    return this.headers.get('x-request-id');
  }
}

/** The request never got an answer: refused, cut off, too slow. Its code is the system's. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';

  constructor(
    readonly code: string,
    options: ErrorOptions,
  ) {
    super(code === 'ETIMEDOUT' ? 'The server took too long (ETIMEDOUT).' : `The connection to the server failed (${code}).`, options);
  }
}

/** Codes are words of an API; anything else might be content. */
function codeIn(body: unknown): string | undefined {
  const error = isRecord(body) ? body['error'] : undefined;
  if (!isRecord(error)) return undefined;
  return [error['code'], error['type']].find((word): word is string => typeof word === 'string' && /^[\w.-]{1,64}$/.test(word));
}
