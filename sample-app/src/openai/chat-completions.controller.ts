import { ServerResponse } from 'node:http';
import { Body, Controller, Post, Res, UseFilters } from '@nestjs/common';
import { type ChatChunk, type ChatRequest, LlmService } from 'nestjs-llm-cache';
import { sendEvents } from '../http/server-sent-events.js';
import { ChatRequestPipe } from './chat-request.pipe.js';
import { OpenAiErrorFilter } from './openai-error.filter.js';
import { openAiErrorOf } from './openai-error.js';

/** What OpenAI's clients ask, answered from the cache where it can be. */
@Controller('v1/chat/completions')
@UseFilters(OpenAiErrorFilter)
export class ChatCompletionsController {
  constructor(private readonly llm: LlmService) {}

  @Post()
  async create(@Body(ChatRequestPipe) request: ChatRequest, @Res() response: ServerResponse): Promise<void> {
    if (request['stream']) await this.stream(request, response);
    else await this.answer(request, response);
  }

  private async answer(request: ChatRequest, response: ServerResponse): Promise<void> {
    const leaving = new AbortController();
    response.once('close', () => leaving.abort());
    const completion = await this.llm.chat(request, { signal: leaving.signal });
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(completion));
  }

  private async stream(request: ChatRequest, response: ServerResponse): Promise<void> {
    const wantsUsage = Boolean((request['stream_options'] as { include_usage?: unknown } | undefined)?.include_usage);
    await sendEvents(response, this.llm.stream(request), {
      // The cache always asks for the usage; not every client does, or knows a chunk without choices.
      data: (chunk) => (wantsUsage || !isUsageOnly(chunk) ? chunk : undefined),
      error: (error) => openAiErrorOf(error).body,
    });
  }
}

function isUsageOnly({ choices, usage }: ChatChunk): boolean {
  return Boolean(usage) && choices.length === 0;
}
