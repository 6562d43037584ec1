import { LlmCacheConfigError } from '../core/errors.js';
import type { PiiOptions } from '../core/pii.js';
import type { KeyParts, UpstreamCall, WrapCall } from '../core/types.js';
import type { MethodDefaults } from './call.js';

/**
 * What is asked, before anything of it is derived. Key parts and upstream call are both made from what a redactor leaves of
 * `given`: there is no way to have a key over one text and a call with another.
 */
export interface Question<Given = unknown> {
  /** Everything that leaves for the model. */
  readonly given: Given;
  /** What the call is to the cache. */
  readonly about: (given: Given) => { parts: KeyParts; defaults: MethodDefaults };
  /** Computes the answer. */
  readonly produce: (call: UpstreamCall, given: Given) => unknown;
  /** Personal data: a method's options. */
  readonly pii?: PiiOptions | false | undefined;
}

/** The question that parts are of, where they were made for a decorated method or a chat request. */
const QUESTION = Symbol.for('nestjs-llm-cache:question');

/** Parts that remember their question, for `keyFor`: redacting the question comes before deriving the parts. */
export function partsOfQuestion<Given>(question: Question<Given>): KeyParts {
  const { parts } = question.about(question.given);
  return Object.defineProperty(parts, QUESTION, { value: question, enumerable: false });
}

export function questionOf(parts: KeyParts): Question {
  const remembered = (parts as { [QUESTION]?: Question } | undefined)?.[QUESTION];
  return remembered ?? (questionFrom(parts, () => undefined) as Question);
}

/** What the model may get of given parts. */
export type Leaving = Pick<KeyParts, 'input' | 'model'>;

/** A question of which only the parts are known. */
export function questionFrom(parts: KeyParts, produce: Question<Leaving>['produce']): Question<Leaving> {
  return {
    given: { input: parts?.input, model: parts?.model },
    about: (given) => ({ parts: isSame(parts, given) ? parts : { ...parts, ...given }, defaults: {} }),
    produce,
  };
}

/** Parts that cannot be read, or that nothing was changed in, stay what they are. */
function isSame(parts: KeyParts | undefined, { input, model }: Leaving): boolean {
  return parts?.input === input && parts?.model === model;
}

/** A question of which the parts are known: what computes its answer sees whether it used what the model may see. */
export function wrappedQuestion(key: KeyParts, produce: (call: WrapCall) => unknown): Question<Leaving> {
  let hasLooked = false;
  const question = questionFrom(
    key,
    ({ signal }, { input }) =>
      produce({
        signal,
        get input() {
          hasLooked = true;
          return input;
        },
      }),
  );
  const isFromRaw = (given: Leaving): boolean => given !== question.given && !hasLooked;
  const about = (given: Leaving): ReturnType<Question['about']> => ({ parts: question.about(given).parts, defaults: { isFromRaw: () => isFromRaw(given) } });
  return { given: question.given, about, produce: question.produce };
}

/** The same question, whose answer is read chunk by chunk. */
export function inChunks<Given>({ about, ...question }: Question<Given>): Question<Given> {
  return {
    ...question,
    about: (given) => {
      const { parts, defaults } = about(given);
      return { parts, defaults: { ...defaults, chunks: true } };
    },
  };
}

/** `wrap` was given nothing to run. */
export function noFunction(): LlmCacheConfigError {
  return new LlmCacheConfigError('LlmCache.wrap: the second argument must be the function that computes the answer.');
}
