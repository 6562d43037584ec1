import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { RequiredTextPipe } from '../http/required-text.pipe.js';
import { AssistantService } from './assistant.service.js';

@Controller('ask')
export class AssistantController {
  constructor(private readonly assistant: AssistantService) {}

  @Post()
  @HttpCode(200)
  async ask(@Body('question', RequiredTextPipe) question: string): Promise<{ answer: string }> {
    return { answer: await this.assistant.ask(question) };
  }
}
