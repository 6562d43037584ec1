import type { RefusalReason } from './gate.js';

/** What a vendor's words for the end of an answer mean: `undefined` when it is complete, else why it is not stored. */
export type FinishReasons = ReadonlyMap<unknown, RefusalReason | undefined>;

/** Some servers that speak chat completions report the stop token itself, or Anthropic's words. */
export const CHAT_REASONS = finishReasons({
  complete: ['stop', 'tool_calls', 'function_call', 'eos', 'end_turn', 'stop_sequence'],
  truncated: ['length', 'max_tokens', 'model_length'],
  'content-filter': ['content_filter'],
  error: ['error'],
});

/** `status`, or `incomplete_details.reason` where there is one. */
export const RESPONSES_REASONS = finishReasons({
  complete: ['completed'],
  truncated: ['max_output_tokens'],
  'content-filter': ['content_filter'],
  error: ['failed'],
});

/** `pause_turn` is missing on purpose: the caller is to send the answer back for the rest of it. */
export const ANTHROPIC_REASONS = finishReasons({
  complete: ['end_turn', 'stop_sequence', 'tool_use'],
  truncated: ['max_tokens', 'model_context_window_exceeded'],
  refusal: ['refusal'],
});

/** `OTHER`, `LANGUAGE` and `CONTINUATION` are missing on purpose: the model stopped before its end. */
export const GEMINI_REASONS = finishReasons({
  complete: ['STOP'],
  truncated: ['MAX_TOKENS'],
  'content-filter': [
    'SAFETY', 'RECITATION', 'BLOCKLIST', 'PROHIBITED_CONTENT', 'SPII', 'MODEL_ARMOR',
    'IMAGE_SAFETY', 'IMAGE_PROHIBITED_CONTENT', 'IMAGE_RECITATION',
  ],
  error: ['MALFORMED_FUNCTION_CALL', 'MALFORMED_RESPONSE', 'UNEXPECTED_TOOL_CALL', 'TOO_MANY_TOOL_CALLS'],
  empty: ['NO_IMAGE'],
});

export const AI_SDK_REASONS = finishReasons({
  complete: ['stop', 'tool-calls'],
  truncated: ['length'],
  'content-filter': ['content-filter'],
  error: ['error'],
  unfinished: ['other', 'unknown'],
});

/** For what passes on the words of the vendor behind it. Bedrock's and Cohere's own come on top; Responses' are in a field of their own. */
export const ALL_REASONS: FinishReasons = new Map([
  ...CHAT_REASONS,
  ...ANTHROPIC_REASONS,
  ...GEMINI_REASONS,
  ...RESPONSES_REASONS,
  ...finishReasons({
    complete: ['COMPLETE', 'STOP_SEQUENCE', 'TOOL_CALL'],
    'content-filter': ['content_filtered', 'guardrail_intervened'],
    error: ['ERROR', 'malformed_model_output', 'malformed_tool_use'],
    unfinished: ['pause_turn'],
  }),
]);

/** A reason that is not known is not taken for the end. */
export function refusalOf(reasons: FinishReasons, finishReason: unknown): RefusalReason | undefined {
  return reasons.has(finishReason) ? reasons.get(finishReason) : 'unfinished';
}

function finishReasons(words: Partial<Record<RefusalReason | 'complete', readonly string[]>>): FinishReasons {
  const entries = Object.entries(words) as Array<[RefusalReason | 'complete', readonly string[]]>;
  return new Map(entries.flatMap(([kind, reasons]) => reasons.map((reason) => [reason, kind === 'complete' ? undefined : kind] as const)));
}
