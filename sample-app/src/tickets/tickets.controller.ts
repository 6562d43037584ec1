import { ServerResponse } from 'node:http';
import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import { RequiredTextPipe } from '../http/required-text.pipe.js';
import { sendEvents } from '../http/server-sent-events.js';
import { TicketsService } from './tickets.service.js';
import type { Triage } from './triage.js';

@Controller('tickets')
export class TicketsController {
  constructor(private readonly tickets: TicketsService) {}

  @Post('summary')
  @HttpCode(200)
  async summary(@Body('ticket', RequiredTextPipe) ticket: string): Promise<{ summary: string }> {
    return { summary: await this.tickets.summary(ticket) };
  }

  /** The reply as it is written, piece by piece, to every client who waits for it. */
  @Post('reply')
  async reply(@Body('ticket', RequiredTextPipe) ticket: string, @Res() response: ServerResponse): Promise<void> {
    await sendEvents(response, this.tickets.reply(ticket), {
      data: (text) => ({ text }),
      error: () => ({ message: 'The LLM broke off.' }),
    });
  }

  @Post('triage')
  @HttpCode(200)
  async triage(@Body('ticket', RequiredTextPipe) ticket: string): Promise<Triage> {
    return this.tickets.triage(ticket);
  }
}
