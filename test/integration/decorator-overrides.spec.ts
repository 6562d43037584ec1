import { beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { CacheLlm, LlmCache, LlmCacheModule, memoryStore } from 'nestjs-llm-cache';
import { opened } from '../fixtures/apps.js';

let upstream = 0;

beforeEach(() => {
  upstream = 0;
});

@Injectable()
class Asker {
  @CacheLlm()
  async ask(question: string): Promise<string> {
    upstream++;
    return `answer to ${question}`;
  }
}

describe('overrides in tests', () => {
  it('overrideProvider(LlmCache) changes what is injected, and where decorated calls go', async () => {
    const own = new LlmCache();
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Asker] })
      .overrideProvider(LlmCache)
      .useValue(own)
      .compile();
    opened(moduleRef);
    expect(moduleRef.get(LlmCache)).toBe(own);
    await moduleRef.init();
    await moduleRef.get(Asker).ask('a');
    await moduleRef.get(Asker).ask('a');
    expect(own.stats()).toMatchObject({ misses: 1, hits: 1 });
  });

  it('overrideProvider(LlmCache) leaves no store of the module open', async () => {
    const closed: string[] = [];
    const stores = memoryStore();
    (stores.store as { disconnect: () => Promise<void> }).disconnect = async () => void closed.push('closed');
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot({ stores })] })
      .overrideProvider(LlmCache)
      .useValue(new LlmCache())
      .compile();
    await moduleRef.close();
    expect(closed).toEqual(['closed']);
  });

  it('overrideProvider of the host replaces it, decorator and all', async () => {
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Asker] })
      .overrideProvider(Asker)
      .useValue({ ask: async () => 'canned' })
      .compile();
    opened(moduleRef);
    await moduleRef.init();
    expect(await moduleRef.get(Asker).ask('a')).toBe('canned');
    expect(moduleRef.get(LlmCache).stats()).toMatchObject({ misses: 0, bypassed: 0 });
  });

  it('a host overridden with a decorated class is cached like any other', async () => {
    @Injectable()
    class Fake {
      @CacheLlm()
      async ask(): Promise<string> {
        upstream++;
        return 'fake';
      }
    }
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Asker] })
      .overrideProvider(Asker)
      .useClass(Fake)
      .compile();
    opened(moduleRef);
    await moduleRef.get(Asker).ask('a');
    expect(await moduleRef.get(Asker).ask('a')).toBe('fake');
    expect(upstream).toBe(1);
  });

  it('compile() alone is enough for classes', async () => {
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Asker] }).compile();
    opened(moduleRef);
    await moduleRef.get(Asker).ask('a');
    await moduleRef.get(Asker).ask('a');
    expect(upstream).toBe(1);
  });
});
