import { Injectable } from '@nestjs/common';
import { CacheLlm, LlmService } from 'nestjs-llm-cache';

@Injectable()
export class TicketsService {
  constructor(private readonly llm: LlmService) {}

  @CacheLlm({ model: { model: 'gpt-4o-mini', temperature: 0 } })
  async summary(ticket: string): Promise<string> {
    return this.llm.text(`Summarize this support ticket in one sentence:\n${ticket}`);
  }
}
