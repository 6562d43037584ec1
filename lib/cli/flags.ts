import { durationMs, type Duration } from '../core/duration.js';

/** A flag of the command line: how it is written, what it accepts, what it is without. */
export interface Flag<T> {
  readonly short?: string;
  /** What follows it, in the help; a flag without stands alone. */
  readonly value?: string;
  readonly help: string;
  /** What the flag is when it is not given, as it would be written. */
  readonly initial?: string;
  /** Reads what was written; `undefined` where it is not accepted. */
  readonly read: (text: string) => T | undefined;
  /** What is accepted, in words. */
  readonly accepts: string;
}

const text = { read: (given: string) => (given === '' ? undefined : given), accepts: 'a text' };
const wholeNumber = { value: 'N', read: (given: string) => (/^\d{1,15}$/.test(given) ? Number(given) : undefined), accepts: 'a whole number' };
const positive = { ...wholeNumber, read: (given: string) => wholeNumber.read(given) || undefined, accepts: 'a positive whole number' };
const alone = { read: () => true, accepts: 'no value' };

/** A duration that is written with its unit: a bare number would leave open which. */
function duration(longestMs: number, longest: string): Pick<Flag<Duration>, 'value' | 'read' | 'accepts'> {
  return {
    value: 'TIME',
    read: (given) => ((durationMs(given) ?? Infinity) <= longestMs ? (given as Duration) : undefined),
    accepts: `a duration such as 500ms, 30s, 15m, 12h or 7d, at most ${longest}`,
  };
}

/** Where answers are kept between runs. */
export type StoreChoice = { readonly kind: 'memory' } | { readonly kind: 'sqlite'; readonly path: string };

function storeOf(given: string): StoreChoice | undefined {
  if (given === 'memory') return { kind: 'memory' };
  const path = given.startsWith('sqlite:') ? given.slice('sqlite:'.length) : '';
  return path === '' || path === ':memory:' ? undefined : { kind: 'sqlite', path };
}

/** Requests go to such a URL. A password in it would end up in keys and log lines; fetch takes none either. */
function urlOf(given: string): URL | undefined {
  if (!URL.canParse(given)) return undefined;
  const url = new URL(given);
  return ['http:', 'https:'].includes(url.protocol) && url.username === '' && url.password === '' && url.hash === '' ? url : undefined;
}

const minutes = (count: number): number => count * 60_000;
const days = (count: number): number => count * 86_400_000;

/** Every flag of `batch`, in the order of the help. */
export const FLAGS = {
  'out': { ...text, short: 'o', value: 'FILE', initial: '-', help: 'where results go; "-" is standard output' },
  'store': {
    read: storeOf, accepts: 'memory, or sqlite: and the path of a file', value: 'STORE', initial: 'sqlite:./llm-cache.db',
    help: 'where answers are kept: sqlite:PATH or memory',
  },
  'base-url': {
    read: urlOf, accepts: 'an http or https URL without user and password', value: 'URL', initial: 'https://api.openai.com/v1',
    help: 'an OpenAI-compatible server; OPENAI_BASE_URL is used where it is set and this is not given',
  },
  'api-key-env': {
    value: 'NAME', initial: 'OPENAI_API_KEY', read: (given: string) => (/^\w+$/.test(given) ? given : undefined),
    accepts: 'the name of an environment variable', help: 'the environment variable with the API key',
  },
  'model': { ...text, short: 'm', value: 'NAME', help: 'the model of requests that name none' },
  'ttl': { ...duration(days(36_500), '36500d'), initial: '30d', help: 'how long an answer is kept' },
  'namespace': { ...text, value: 'NAME', initial: 'llm', help: 'separates users of one store' },
  'concurrency': { ...positive, initial: '8', help: 'most requests under way at one time' },
  'requests-per-minute': { ...positive, help: 'most requests sent in a minute' },
  'tokens-per-minute': { ...positive, help: 'most tokens in a minute, estimated' },
  'retry-for': { ...duration(days(24), '24d'), initial: '10m', help: 'how long to retry when a rate limit is met' },
  'retries': { ...wholeNumber, initial: '2', help: 'tries after a cut connection or a server error' },
  'timeout': { ...duration(minutes(5), '5m'), initial: '5m', help: 'longest wait for one answer, at most 5m' },
  'ordered': { ...alone, help: 'write results in the order of the requests' },
  'strict': { ...alone, help: 'stop at a malformed line instead of skipping it' },
  'dry-run': { ...alone, help: 'ask nothing, write nothing: say what the cache would save' },
  'quiet': { ...alone, short: 'q', help: 'say nothing but what went wrong' },
} as const satisfies Record<string, Flag<unknown>>;

export type FlagName = keyof typeof FLAGS;
