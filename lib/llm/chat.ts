import type { ModelConfig } from '../core/types.js';

/** A message in OpenAI's chat shape. Further fields are passed on and take part in the key. */
export type ChatMessage = {
  /** Who says it, such as `system`, `user`, `assistant` or `tool`. */
  role: string;
  /** What is said: a text, or parts such as text and images. */
  content?: string | ReadonlyArray<Record<string, unknown>> | null;
} & Record<string, unknown>;

/**
 * A chat-completions request in OpenAI's shape, open-ended: every field is passed on, and every field takes part in
 * the key but those that cannot change the answer.
 */
export type ChatRequest = {
  /** The conversation so far, in its order. */
  messages: ChatMessage[];
} & ModelConfig;

/** A chat completion in OpenAI's shape. */
export type ChatResponse = {
  /** One answer, or `n` of them. */
  choices: Array<
    {
      /** Its place among the choices. */
      index?: number;
      /** Why it ended; only what is known to mean the end is stored. */
      finish_reason?: string | null;
      /** What the model says. */
      message: {
        /** `assistant`. */
        role?: string;
        /** Its text; `null` beside tool calls. */
        content?: string | null;
        /** Why it would not answer. */
        refusal?: string | null;
      } & Record<string, unknown>;
    } & Record<string, unknown>
  >;
  /** The model that answered. */
  model?: string;
  /** What it took. */
  usage?: {
    /** Tokens of the question. */
    prompt_tokens?: number;
    /** Tokens of the answer. */
    completion_tokens?: number;
    /** Both together. */
    total_tokens?: number;
  } & Record<string, unknown>;
} & Record<string, unknown>;

/** A chunk of a streamed chat completion in OpenAI's shape. */
export type ChatChunk = {
  /** What this chunk adds to each answer; empty in the one that carries the usage. */
  choices: Array<
    {
      /** The place of its answer among the choices. */
      index?: number;
      /** Why the answer ended, in its last chunk; `null` or nothing before. */
      finish_reason?: string | null;
      /** What is new. */
      delta: {
        /** `assistant`, in the first chunk. */
        role?: string;
        /** The next piece of its text. */
        content?: string | null;
        /** The next piece of why it would not answer. */
        refusal?: string | null;
      } & Record<string, unknown>;
    } & Record<string, unknown>
  >;
  /** The model that answers. */
  model?: string;
  /** What it took, in the last chunk when it was asked for. */
  usage?: ChatResponse['usage'] | null;
} & Record<string, unknown>;

/** Calls a model for `LlmService`. Retries and timeouts are the provider's own business. */
export interface LlmProvider {
  /** Joins every key: two providers never share an entry. Name the endpoint in it, and no secret. */
  readonly id: string;
  /** What it throws reaches the caller unchanged. */
  chat(request: ChatRequest, call: { signal: AbortSignal }): Promise<ChatResponse>;
  /** The same answer in chunks, with the usage in the last one. Without it `LlmService.stream` is served by `chat`. */
  stream?(request: ChatRequest, call: { signal: AbortSignal }): AsyncIterable<ChatChunk>;
}
