import { beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, type INestApplication, Injectable, Module, type ModuleMetadata } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import { Keyv } from 'keyv';
import { LlmCache, LlmCacheHealthIndicator, LlmCacheModule, memoryStore } from 'nestjs-llm-cache';
import { ChaosStore, LlmCacheTestingModule } from 'nestjs-llm-cache/testing';
import request from 'supertest';
import { opened } from '../fixtures/apps.js';

@Controller('health')
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly llmCacheHealth: LlmCacheHealthIndicator,
  ) {}

  @Get()
  @HealthCheck()
  check() {
    return this.health.check([() => this.llmCacheHealth.isHealthy()]);
  }
}

@Module({ imports: [TerminusModule], controllers: [HealthController] })
class HealthModule {}

async function listen(imports: ModuleMetadata['imports']): Promise<INestApplication> {
  const moduleRef = await Test.createTestingModule({ imports }).compile();
  const app = opened(moduleRef.createNestApplication({ logger: false }));
  await app.listen(0, '127.0.0.1');
  return app;
}

/** What `GET /health` says of the cache, where it says that the app is well. */
async function healthOf(app: INestApplication): Promise<unknown> {
  const { body } = await request(app.getHttpServer()).get('/health').expect(200);
  expect(body).toMatchObject({ status: 'ok', error: {} });
  expect((body as { info: unknown }).info).toEqual((body as { details: unknown }).details);
  return (body as { details: { llmCache: unknown } }).details.llmCache;
}

const STORE_TIMEOUT_MS = 30;
const memory = { name: 'memory', breaker: 'closed', latencyMs: null, degradedMs: 0, errors: 0 };

describe('GET /health with terminus', () => {
  let chaos: ChaosStore;
  const stores = () => ({ stores: [memoryStore(), chaos], storeTimeout: STORE_TIMEOUT_MS });

  beforeEach(() => {
    chaos = new ChaosStore();
  });

  it('is up while every store answers, and shows how they do', async () => {
    const app = await listen([LlmCacheModule.forRoot(stores()), HealthModule]);
    expect(await healthOf(app)).toEqual({
      status: 'up',
      degraded: false,
      tiers: [memory, { name: 'chaos', breaker: 'closed', latencyMs: expect.any(Number), degradedMs: 0, errors: 0 }],
    });
    expect(chaos.journal).toEqual([{ operation: 'get', key: 'llm1.llm.health' }]);
  });

  it('notices a store that hangs before any call does, is degraded and not down, and then leaves it alone', async () => {
    const app = await listen([LlmCacheModule.forRoot(stores()), HealthModule]);
    chaos.hang();
    const startedAtMs = performance.now();
    const degraded = { status: 'up', degraded: true, tiers: [memory, { name: 'chaos', breaker: 'open', latencyMs: null, degradedMs: expect.any(Number), errors: 1 }] };
    expect(await healthOf(app)).toEqual(degraded);
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(STORE_TIMEOUT_MS - 2);
    expect(await healthOf(app)).toEqual(degraded);
    expect(chaos.journal).toHaveLength(1);
    chaos.recover();
    expect(await healthOf(app)).toMatchObject({ degraded: false, tiers: [memory, { breaker: 'closed' }] });
  });

  it.each<[string, () => unknown]>([
    ['fails', () => chaos],
    ['fails, behind a Keyv that hides it', () => new Keyv({ store: chaos })],
  ])('is degraded at once by a store that %s, though its breaker is still closed', async (_what, store) => {
    chaos.fail(new Error('ECONNREFUSED 10.0.0.7'));
    const app = await listen([LlmCacheModule.forRoot({ stores: [store() as Keyv] }), HealthModule]);
    const health = await healthOf(app);
    expect(health).toMatchObject({ status: 'up', degraded: true, tiers: [{ name: 'chaos', breaker: 'closed', errors: 1 }] });
    expect(JSON.stringify(health)).not.toContain('10.0.0.7');
  });

  it('is the probe of a breaker that waits for one, so that an app without traffic recovers too', async () => {
    const llmCacheHealth = await indicatorOf(stores());
    chaos.hang();
    await llmCacheHealth.isHealthy();
    chaos.recover({ announce: false });
    expect(await llmCacheHealth.isHealthy()).toMatchObject({ llmCache: { degraded: true } });
    now.ms += 5_000;
    expect(await llmCacheHealth.isHealthy()).toMatchObject({ llmCache: { degraded: false, tiers: [{}, { breaker: 'closed', degradedMs: 5_000 }] } });
  });

  it("is up with mode 'off', and asks no store", async () => {
    chaos.hang();
    const app = await listen([LlmCacheModule.forRoot({ ...stores(), mode: 'off' }), HealthModule]);
    expect(await healthOf(app)).toMatchObject({ status: 'up', degraded: false, tiers: [memory, { breaker: 'closed', errors: 0 }] });
    expect(chaos.journal).toEqual([]);
  });

  it('works with LlmCacheTestingModule, also where that stands in for the module of an app', async () => {
    expect(await healthOf(await listen([LlmCacheTestingModule.forRoot(), HealthModule]))).toEqual({ status: 'up', degraded: false, tiers: [memory] });
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot(stores()), HealthModule] })
      .overrideModule(LlmCacheModule)
      .useModule(LlmCacheTestingModule.forRoot())
      .compile();
    const app = opened(moduleRef.createNestApplication({ logger: false }));
    await app.listen(0, '127.0.0.1');
    expect(await healthOf(app)).toEqual({ status: 'up', degraded: false, tiers: [memory] });
  });

  it('works where the module is not global, and in a module that is loaded later', async () => {
    const llmCacheModule = LlmCacheModule.forRoot({ ...stores(), isGlobal: false });

    @Module({ imports: [TerminusModule, llmCacheModule], controllers: [HealthController] })
    class OwnHealthModule {}

    @Module({ imports: [llmCacheModule], providers: [Later], exports: [Later] })
    class LaterModule {}

    const app = await listen([OwnHealthModule]);
    expect(await healthOf(app)).toMatchObject({ degraded: false });
    const later = (await app.get(LazyModuleLoader).load(() => LaterModule)).get(Later);
    expect(later.llmCacheHealth).toBe(app.get(LlmCacheHealthIndicator, { strict: false }));
    expect(await later.llmCacheHealth.isHealthy('cacheOfAnswers')).toMatchObject({ cacheOfAnswers: { status: 'up' } });
  });
});

@Injectable()
class Later {
  constructor(readonly llmCacheHealth: LlmCacheHealthIndicator) {}
}

const now = { ms: 0 };

/** One whose breakers live in the time of `now`. */
async function indicatorOf(options: ConstructorParameters<typeof LlmCache>[0]): Promise<LlmCacheHealthIndicator> {
  const clock = { now: () => now.ms, monotonic: () => now.ms, after: () => () => undefined };
  const moduleRef = await Test.createTestingModule({
    providers: [{ provide: LlmCache, useValue: new LlmCache(options, clock) }, LlmCacheHealthIndicator],
  }).compile();
  return opened(moduleRef).get(LlmCacheHealthIndicator);
}
