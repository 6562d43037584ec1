import { HttpException, Logger } from '@nestjs/common';
import { LlmCacheError, LlmCacheMissError, LlmProviderError } from 'nestjs-llm-cache';
import { APIError } from 'openai';

/** The `error` of an OpenAI response. */
export interface OpenAiError {
  message: string;
  type: string;
  param: string | null;
  code: string | null;
}

const logger = new Logger('OpenAi');

/** Any error as OpenAI would say it. What came from upstream stays as it is. */
export function openAiErrorOf(error: unknown): { status: number; body: OpenAiError } {
  if (error instanceof APIError) return upstreamErrorOf(error);
  if (error instanceof HttpException) {
    return { status: error.getStatus(), body: bodyOf(error.message, 'invalid_request_error') };
  }
  if (error instanceof LlmCacheError) {
    const status = error instanceof LlmCacheMissError ? 504 : error instanceof LlmProviderError ? 502 : 500;
    return { status, body: bodyOf(error.message, 'cache_error', error.code) };
  }
  logger.error(error);
  return { status: 500, body: bodyOf('The answer could not be completed.', 'server_error') };
}

function upstreamErrorOf(error: APIError): { status: number; body: OpenAiError } {
  const problem = error.status === undefined ? 'could not be reached' : `answered with status ${error.status}`;
  const given = typeof error.error === 'object' ? (error.error as Partial<OpenAiError> | null) : null;
  return { status: error.status ?? 502, body: { ...bodyOf(`The LLM ${problem}.`, 'upstream_error'), ...given } };
}

function bodyOf(message: string, type: string, code: string | null = null): OpenAiError {
  return { message, type, param: null, code };
}
