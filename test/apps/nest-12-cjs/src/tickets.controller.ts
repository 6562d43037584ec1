import { Controller, Get, Query } from '@nestjs/common';
import { LlmCache } from 'nestjs-llm-cache';
import { TicketsService } from './tickets.service';

@Controller()
export class TicketsController {
  constructor(
    private readonly tickets: TicketsService,
    private readonly llmCache: LlmCache,
  ) {}

  @Get('summary')
  summary(@Query('ticket') ticket: string): Promise<string> {
    return this.tickets.summary(ticket);
  }

  @Get('hits')
  hits(): number {
    return this.llmCache.stats().hits;
  }
}
