import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Inject, Injectable, Module } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheLlm, LlmCache, LlmCacheModule, LlmService } from 'nestjs-llm-cache';
import { FakeClock, FakeLlmProvider, LlmCacheTestingModule } from 'nestjs-llm-cache/testing';

@Injectable()
class SummaryService {
  calls = 0;

  constructor(@Inject(LlmService) private readonly llm: LlmService) {}

  @CacheLlm()
  async summary(text: string): Promise<string> {
    this.calls++;
    return this.llm.text(`Summarize: ${text}`);
  }
}

@Module({ imports: [LlmCacheModule.forRoot({ ttl: '1h' })], providers: [SummaryService] })
class AppModule {}

describe('LlmCacheTestingModule', () => {
  let moduleRef: TestingModule;
  let service: SummaryService;
  const clock = new FakeClock();
  const provider = new FakeLlmProvider('a summary');

  beforeEach(async () => {
    provider.calls.length = 0;
    moduleRef = await Test.createTestingModule({ imports: [AppModule] })
      .overrideModule(LlmCacheModule)
      .useModule(LlmCacheTestingModule.forRoot({ provider, clock, ttl: '1d' }))
      .compile();
    service = moduleRef.get(SummaryService);
    await moduleRef.get(LlmCache).clear();
  });

  afterEach(async () => {
    jest.useRealTimers();
    await moduleRef.close();
  });

  it('stands in for LlmCacheModule wherever an app imports it, after compile() alone', async () => {
    expect(await service.summary('x')).toBe('a summary');
    expect(await service.summary('x')).toBe('a summary');
    expect(service.calls).toBe(1);
    expect(provider.calls).toHaveLength(1);
  });

  it('starts every test empty after clear()', async () => {
    await service.summary('x');
    await moduleRef.get(LlmCache).clear();
    await service.summary('x');
    expect(service.calls).toBe(2);
  });

  it('expires with the fake clock, without jitter', async () => {
    await service.summary('x');
    clock.advance(86_400_000 - 1);
    await service.summary('x');
    expect(service.calls).toBe(1);
    clock.advance(1);
    await service.summary('x');
    expect(service.calls).toBe(2);
  });
});
