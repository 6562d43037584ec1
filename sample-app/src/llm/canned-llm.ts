import { setTimeout as delay } from 'node:timers/promises';
import { type ChatCompletionRequest, LLMock, type TextResponse } from '@copilotkit/aimock';
import { cannedAnswer } from './canned-answers.js';

export interface CannedLlmOptions {
  /** Answer at once, instead of as slowly as a real model. */
  instant?: boolean;
}

const FIRST_TOKEN_MS = 250;
const MS_PER_TOKEN = 20;
/** About that many, in English. */
const CHARACTERS_PER_TOKEN = 4;
/** A token a chunk. */
const STREAMED = { chunkSize: CHARACTERS_PER_TOKEN, streamingProfile: { ttft: FIRST_TOKEN_MS, tps: 1_000 / MS_PER_TOKEN } };

/** An LLM server on a free loopback port that speaks OpenAI's protocol, answers from a list and keeps a journal. */
export async function startCannedLlm({ instant = false }: CannedLlmOptions = {}): Promise<LLMock> {
  const server = new LLMock({ host: '127.0.0.1', port: 0 });
  const respond = async (request: ChatCompletionRequest): Promise<TextResponse> => {
    const answer = responseTo(request);
    if (!instant && !request.stream) await delay(FIRST_TOKEN_MS + MS_PER_TOKEN * answer.usage!.completion_tokens!);
    return answer;
  };
  server.on({ endpoint: 'chat' }, respond, instant ? {} : STREAMED);
  await server.start();
  return server;
}

function responseTo({ messages }: ChatCompletionRequest): TextResponse {
  const system = textOf(messages, 'system');
  const user = textOf(messages, 'user');
  const content = cannedAnswer(system, user);
  return { content, usage: { prompt_tokens: tokensIn(system + user), completion_tokens: tokensIn(content) } };
}

function textOf(messages: ChatCompletionRequest['messages'], role: string): string {
  const content = messages.findLast((message) => message.role === role)?.content;
  return typeof content === 'string' ? content : '';
}

function tokensIn(text: string): number {
  return Math.ceil(text.length / CHARACTERS_PER_TOKEN);
}
