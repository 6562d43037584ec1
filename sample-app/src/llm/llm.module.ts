import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { type ChosenLlm, CHOSEN_LLM, chooseLlm } from './choose-llm.js';

@Module({
  providers: [{ provide: CHOSEN_LLM, inject: [ConfigService], useFactory: (config: ConfigService) => chooseLlm(config) }],
  exports: [CHOSEN_LLM],
})
export class LlmModule implements OnApplicationShutdown {
  constructor(@Inject(CHOSEN_LLM) private readonly llm: ChosenLlm) {}

  async onApplicationShutdown(): Promise<void> {
    await this.llm.stop?.();
  }
}
