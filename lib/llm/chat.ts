import type { ModelConfig } from '../core/types.js';

/** A message in OpenAI's chat shape. Further fields are passed on and take part in the key. */
export type ChatMessage = {
  role: string;
  content?: string | ReadonlyArray<Record<string, unknown>> | null;
} & Record<string, unknown>;

/**
 * A chat-completions request in OpenAI's shape, open-ended: every field is passed on, and every field takes part in
 * the key but those that cannot change the answer.
 */
export type ChatRequest = { messages: ChatMessage[] } & ModelConfig;

/** A chat completion in OpenAI's shape. */
export type ChatResponse = {
  choices: Array<
    {
      index?: number;
      finish_reason?: string | null;
      message: { role?: string; content?: string | null; refusal?: string | null } & Record<string, unknown>;
    } & Record<string, unknown>
  >;
  model?: string;
  usage?: { prompt_tokens?: number; completion_tokens?: number; total_tokens?: number } & Record<string, unknown>;
} & Record<string, unknown>;

/** Calls a model for `LlmService`. Retries and timeouts are the provider's own business. */
export interface LlmProvider {
  /** Joins every key: two providers never share an entry. Name the endpoint in it, and no secret. */
  readonly id: string;
  /** What it throws reaches the caller unchanged. */
  chat(request: ChatRequest, call: { signal: AbortSignal }): Promise<ChatResponse>;
}
