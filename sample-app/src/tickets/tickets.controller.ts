import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { RequiredTextPipe } from '../http/required-text.pipe.js';
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

  @Post('triage')
  @HttpCode(200)
  async triage(@Body('ticket', RequiredTextPipe) ticket: string): Promise<Triage> {
    return this.tickets.triage(ticket);
  }
}
