import type { LlmCache } from '../engine/llm-cache.js';
import { digest } from '../key/digest.js';
import type { BatchLine } from '../llm/batch/batch-options.js';
import type { LlmService } from '../llm/llm.service.js';

/** What a request asks, as numbers of 48 bits: a file may have a million. */
export interface Question {
  /** Equal for requests with one answer. */
  readonly key: number;
  /** The request itself: its `custom_id` and its key. A line of the output with this number answers this very question. */
  readonly mark: number;
}

export type Identify = (request: BatchLine) => Question;

/** The key depends on the model, the endpoint and the namespace as well, so another of these is another question. */
export function identifierOf(llm: LlmService, llmCache: LlmCache): Identify {
  const keyOf = (request: BatchLine): string => {
    try {
      return llmCache.keyFor(llm.partsOf(request.body));
    } catch {
      return JSON.stringify(request.body); // nothing that JSON can say is known to have no key
    }
  };
  return (request) => {
    const key = keyOf(request);
    return { key: shortDigest(key), mark: shortDigest(`${request.custom_id}\n${key}`) };
  };
}

function shortDigest(text: string): number {
  return Buffer.from(digest(text), 'base64url').readUIntBE(0, 6);
}
