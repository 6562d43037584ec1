import type { ServerResponse } from 'node:http';
import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import { openAiErrorOf } from './openai-error.js';

/** Whatever goes wrong before an answer has begun, in the shape that OpenAI's clients read. */
@Catch()
export class OpenAiErrorFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<ServerResponse>();
    const { status, body } = openAiErrorOf(error);
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify({ error: body }));
  }
}
