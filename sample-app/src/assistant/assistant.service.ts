import { Injectable } from '@nestjs/common';
import { CacheLlm, LlmService } from 'nestjs-llm-cache';

@Injectable()
export class AssistantService {
  constructor(private readonly llm: LlmService) {}

  @CacheLlm({ model: { temperature: 0, max_tokens: 300 } })
  async ask(question: string): Promise<string> {
    return this.llm.text(question);
  }
}
