import { BadRequestException, Injectable, type PipeTransform } from '@nestjs/common';
import type { ChatRequest } from 'nestjs-llm-cache';

type Fields = Record<string, unknown>;

/** Accepts a chat-completions request. Only what decides its fate here is looked at: the LLM judges the rest. */
@Injectable()
export class ChatRequestPipe implements PipeTransform<unknown, ChatRequest> {
  transform(value: unknown): ChatRequest {
    if (!isObject(value)) throw new BadRequestException('The body must be a JSON object.');
    // These are for the SDK that calls the LLM, and not for whoever calls us.
    const { headers: _headers, timeout: _timeout, signal: _signal, ...request } = value;
    const { messages, model, stream } = request;
    if (!Array.isArray(messages) || messages.length === 0 || !messages.every(isMessage)) {
      throw new BadRequestException('"messages" must be a list of at least one message, each with a "role".');
    }
    if (model !== undefined && (typeof model !== 'string' || model === '')) {
      throw new BadRequestException('"model" must be the name of a model.');
    }
    if (typeof (stream ?? false) !== 'boolean') throw new BadRequestException('"stream" must be true or false.');
    return request as ChatRequest;
  }
}

function isMessage(message: unknown): boolean {
  return isObject(message) && typeof message['role'] === 'string' && message['role'] !== '';
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
