import {
  type ArgumentsHost,
  BadGatewayException,
  Catch,
  type ExceptionFilter,
  GatewayTimeoutException,
  type HttpException,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { LlmCacheMissError } from 'nestjs-llm-cache';
import { APIError } from 'openai';

/** What the cache and the LLM's SDK throw, in the words of HTTP. */
@Catch(LlmCacheMissError, APIError)
export class LlmErrorFilter implements ExceptionFilter {
  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(error: LlmCacheMissError | APIError, host: ArgumentsHost): void {
    const exception = toHttp(error);
    this.adapterHost.httpAdapter.reply(host.switchToHttp().getResponse(), exception.getResponse(), exception.getStatus());
  }
}

function toHttp(error: LlmCacheMissError | APIError): HttpException {
  // RFC 9111: what `only-if-cached` cannot be given is a gateway timeout.
  if (error instanceof LlmCacheMissError) return new GatewayTimeoutException(error.message);
  // Not the SDK's message: it may quote the prompt.
  const problem = error.status === undefined ? 'could not be reached' : `answered with status ${error.status}`;
  return new BadGatewayException(`The LLM ${problem}.`);
}
