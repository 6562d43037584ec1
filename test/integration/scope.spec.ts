import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { type CallHandler, Controller, type ExecutionContext, Get, Headers, Inject, Injectable, type INestApplication, type ModuleMetadata, type NestInterceptor, Query, Scope, type Type, UseInterceptors } from '@nestjs/common';
import { ContextIdFactory, REQUEST } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { ClsModule, ClsService } from 'nestjs-cls';
import { CacheLlm, LlmCache, LlmCacheModule, type LlmCacheOptions, LlmService, memoryStore, ScopeRequiredError } from 'nestjs-llm-cache';
import { FakeLlmProvider } from 'nestjs-llm-cache/testing';
import { Observable } from 'rxjs';
import request from 'supertest';
import { opened, startWith } from '../fixtures/apps.js';
import { troubledStore } from '../fixtures/stores.js';

/** What reached the methods themselves, newest last. */
const upstream: string[] = [];
afterEach(() => void upstream.splice(0));

const secret = randomBytes(32);
const encryption = { current: 'a', keys: { a: randomBytes(32) } };
/** A tenant is apart by its key alone, and no less with what the privacy options add. */
const privacy: Array<[string, LlmCacheOptions]> = [['plain keys', {}], ['a secret and encryption', { secret, encryption }]];

describe('a tenant that a request carries', () => {
  /** Stands for a guard that has checked a token: here the token is the tenant. */
  const tenantOf = (headers: Record<string, unknown>): string | undefined => (headers['authorization'] as string | undefined)?.slice('Bearer '.length);

  @Injectable()
  class Answers {
    @CacheLlm()
    async answer(question: string): Promise<string> {
      await Promise.resolve();
      upstream.push(question);
      return `${question} ${upstream.length}`;
    }
  }

  @Controller()
  class Routes {
    constructor(private readonly answers: Answers) {}

    @Get()
    ask(@Query('q') question: string): Promise<string> {
      return this.answers.answer(question);
    }
  }

  async function start(imports: NonNullable<ModuleMetadata['imports']>, controller: Type<unknown> = Routes): Promise<INestApplication> {
    const app = (await Test.createTestingModule({ imports, controllers: [controller], providers: [Answers] }).compile()).createNestApplication();
    opened(app);
    await app.listen(0, '127.0.0.1');
    return app;
  }

  const asker = (app: INestApplication) => async (tenant: string | undefined, question = 'q', headers: Record<string, string> = {}): Promise<string> => {
    const asked = request(app.getHttpServer()).get('/').query({ q: question }).set(headers);
    return (await (tenant === undefined ? asked : asked.set('authorization', `Bearer ${tenant}`)).expect(200)).text;
  };

  describe.each(privacy)('with %s', (_what, options) => {
    it('nestjs-cls: tenants never share an entry, not even when they ask at the same time', async () => {
      const app = await start([
        ClsModule.forRoot({ global: true, middleware: { mount: true, setup: (cls, incoming: { headers: Record<string, unknown> }) => cls.set('tenant', tenantOf(incoming.headers)) } }),
        LlmCacheModule.forRootAsync({
          inject: [ClsService],
          useFactory: (cls: ClsService) => ({ ...options, scope: { resolve: () => cls.get<string | undefined>('tenant'), required: true } }),
        }),
      ]);
      const ask = asker(app);
      const tenants = ['acme', 'globex', 'a.b', 'a_b', '0'];
      const first = await Promise.all([...tenants, ...tenants].map((tenant) => ask(tenant)));
      expect(upstream).toHaveLength(tenants.length);
      expect(new Set(first).size).toBe(tenants.length);
      for (const [index, tenant] of tenants.entries()) expect(await ask(tenant)).toBe(first[index]);
      expect(upstream).toHaveLength(tenants.length);
      expect(app.get(LlmCache).stats()).toMatchObject({ misses: tenants.length, bypassed: 0 });
      // Without a tenant each call is answered, and none from or into a store.
      expect(await ask(undefined)).not.toBe(await ask(undefined));
      expect(app.get(LlmCache).stats()).toMatchObject({ bypassed: 2, stored: tenants.length });
    });

    it('AsyncLocalStorage, set by an interceptor', async () => {
      const current = new AsyncLocalStorage<string | undefined>();
      @Injectable()
      class TenantInterceptor implements NestInterceptor {
        intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
          const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, unknown> }>();
          return new Observable((subscriber) => current.run(tenantOf(headers), () => next.handle().subscribe(subscriber)));
        }
      }
      @Controller()
      @UseInterceptors(TenantInterceptor)
      class TenantRoutes extends Routes {}
      Inject(Answers)(TenantRoutes, undefined as never, 0);
      const ask = asker(await start([LlmCacheModule.forRoot({ ...options, scope: { resolve: () => current.getStore() } })], TenantRoutes));
      expect([await ask('acme'), await ask('globex'), await ask('acme')]).toEqual(['q 1', 'q 2', 'q 1']);
      expect([await ask(undefined), await ask(undefined)]).toEqual(['q 3', 'q 3']); // not required: shared by all without one
    });
  });

  it('nothing is taken from a header unless the app does: who asks the same shares the entry', async () => {
    const ask = asker(await start([LlmCacheModule.forRoot()]));
    const headers = ['x-tenant', 'x-tenant-id', 'x-scope', 'x-user-id', 'x-cache-scope', 'x-llm-cache-scope', 'x-llm-cache-namespace', 'cache-control', 'cookie', 'forwarded', 'x-forwarded-for', 'origin'];
    expect(await ask('a')).toBe('q 1');
    expect(await ask('b')).toBe('q 1');
    for (const header of headers) expect(await ask(undefined, 'q', { [header]: 'no-cache' })).toBe('q 1');
    expect(upstream).toEqual(['q']);
  });

  it('a tenant of the app is not overruled by a header', async () => {
    const current = new AsyncLocalStorage<string>();
    @Controller()
    class FixedRoutes {
      constructor(@Inject(Answers) private readonly answers: Answers) {}

      @Get()
      ask(@Query('q') question: string, @Headers('authorization') token: string): Promise<string> {
        return current.run(token, () => this.answers.answer(question));
      }
    }
    const ask = asker(await start([LlmCacheModule.forRoot({ scope: { resolve: () => current.getStore(), required: true } })], FixedRoutes));
    expect(await ask('acme')).toBe('q 1');
    expect(await ask('globex', 'q', { 'x-tenant': 'acme', 'x-scope': 'acme' })).toBe('q 2');
  });
});

describe('a REQUEST-scoped host', () => {
  @Injectable({ scope: Scope.REQUEST })
  class Tenant {
    readonly id: string | number | undefined;

    constructor(@Inject(REQUEST) incoming: { tenant?: string | number }) {
      this.id = incoming.tenant;
    }
  }

  @Injectable({ scope: Scope.REQUEST })
  class Answers {
    readonly tenant: string | number | undefined;

    constructor(@Inject(Tenant) tenant: Tenant) {
      this.tenant = tenant.id;
    }

    @CacheLlm({
      scope: function (this: Answers) {
        return this.tenant;
      },
    })
    async answer(question: string): Promise<string> {
      upstream.push(`${this.tenant} ${question}`);
      return `answer to ${this.tenant}`;
    }
  }

  async function asker(...more: Array<Type<unknown>>) {
    const moduleRef = await startWith(Tenant, Answers, ...more);
    const hostOf = async (tenant: string | number | undefined): Promise<Answers> => {
      const contextId = ContextIdFactory.create();
      moduleRef.registerRequestByContextId({ tenant }, contextId);
      return moduleRef.resolve(Answers, contextId, { strict: false });
    };
    return { moduleRef, hostOf, ask: async (tenant: string | number | undefined) => (await hostOf(tenant)).answer('q') };
  }

  it('`scope: function () { return this.tenant }` is asked of the instance of the request', async () => {
    const { ask } = await asker();
    expect(await Promise.all(['acme', 'globex', 'acme', 0, '0'].map(ask))).toEqual(['answer to acme', 'answer to globex', 'answer to acme', 'answer to 0', 'answer to 0']);
    expect(upstream.sort()).toEqual(['0 q', '0 q', 'acme q', 'globex q']);
  });

  it('an instance kept from an older request stays of its tenant', async () => {
    const { hostOf, ask } = await asker();
    const kept = await hostOf('acme');
    expect(await ask('globex')).toBe('answer to globex');
    expect(await kept.answer('q')).toBe('answer to acme');
    expect(await ask('globex')).toBe('answer to globex');
    expect(upstream).toEqual(['globex q', 'acme q']);
  });

  it('invalidate({ scope }) removes what it stored', async () => {
    const { moduleRef, ask } = await asker();
    for (const tenant of ['acme', 'globex']) await ask(tenant);
    await moduleRef.get(LlmCache).invalidate({ scope: 'acme' });
    for (const tenant of ['acme', 'globex']) await ask(tenant);
    expect(upstream).toEqual(['acme q', 'globex q', 'acme q']);
  });
});

describe('a scope is lossless', () => {
  const tenants: Array<string | number> = [
    'a.b', 'a_b', 'a b', 'a/b', 'a:b', 'a%2eb', 'a%002eb', 'A.B', 'ab', '租户', '租戶', '上海分公司', 'é', 'e\u0301', '0', 0, '-0', 1, '1', '01', '1.0', 'true', 'undefined', 'null', 'NaN', '[object Object]',
    ' ', '\n', '\0', '\ud800', '\ud801', '\ufffd', '__proto__', 'n'.repeat(10_000), `${'n'.repeat(10_000)}x`, `x${'n'.repeat(10_000)}`, '租'.repeat(10_000), Number.MAX_SAFE_INTEGER, 1e-7, 1e21,
  ];

  it.each(privacy)('each of many tenants has entries of its own, and loses no others: %s', async (_what, options) => {
    const llmCache = new LlmCache(options);
    const ask = (scope: string | number, answer: string): Promise<string> => llmCache.wrap({ name: 'n', input: 1, scope }, () => answer);
    for (const [index, tenant] of tenants.entries()) expect(await ask(tenant, `of ${index}`)).toBe(`of ${index}`);
    for (const [index, tenant] of tenants.entries()) expect(await ask(tenant, 'never')).toBe(`of ${index}`);
    for (const [index, tenant] of tenants.entries()) {
      await llmCache.invalidate({ scope: tenant });
      expect(await ask(tenant, `new ${index}`)).toBe(`new ${index}`);
    }
    for (const [index, tenant] of tenants.entries()) expect(await ask(tenant, 'never')).toBe(`new ${index}`);
    expect(llmCache.stats()).toMatchObject({ misses: 2 * tenants.length, hits: 2 * tenants.length, bypassed: 0 });
  });

  it.each(privacy)('none of their names is in a key: %s', async (_what, options) => {
    const { keyv, entries } = troubledStore();
    const llmCache = new LlmCache({ ...options, stores: keyv });
    for (const tenant of tenants) await llmCache.wrap({ name: 'n', input: 1, scope: tenant }, () => 'x');
    for (const key of entries.keys()) expect(key).toMatch(/^llm1k?\.llm\.(versions(\.[\w-]{43})?|[\w-]{43})$/);
  });

  it.each<[string, unknown, string | undefined]>([
    ['0', 0, undefined],
    ["'0'", '0', undefined],
    ['-0', -0, undefined],
    ["''", '', 'scope-required'],
    ['undefined', undefined, 'scope-required'],
    ['null', null, 'scope-required'],
    ['NaN', Number.NaN, 'uncacheable input: scope is neither a string nor a finite number'],
    ['false', false, 'uncacheable input: scope is neither a string nor a finite number'],
    ['an object', { id: 1 }, 'uncacheable input: scope is neither a string nor a finite number'],
  ])('%s, where one is required', async (_what, scope, reason) => {
    const llmCache = new LlmCache({ secret, encryption, scope: { resolve: () => scope as never, required: true } });
    const reasons: unknown[] = [];
    let asked = 0;
    for (let call = 0; call < 2; call++) await llmCache.wrap({ name: 'n', input: 1 }, () => ++asked, { onOutcome: (outcome) => reasons.push(outcome.reason) });
    expect(reasons).toEqual([reason, reason]);
    expect(asked).toBe(reason === undefined ? 1 : 2);
    if (reason === 'scope-required') expect(() => llmCache.keyFor({ name: 'n', input: 1 })).toThrow(ScopeRequiredError);
  });
});

describe('invalidate({ scope })', () => {
  it.each(privacy)('takes as long for a thousand entries as for one, and leaves them where they are: %s', async (_what, options) => {
    const asked: Array<Record<string, number>> = [];
    for (const count of [1, 1_000]) {
      const store = troubledStore();
      const llmCache = new LlmCache({ ...options, stores: [memoryStore(), store.keyv] });
      for (let input = 0; input < count; input++) await llmCache.wrap({ name: 'n', input, scope: 'acme' }, () => 'x');
      const [before, size] = [{ ...store.asked }, store.entries.size];
      await llmCache.invalidate({ scope: 'acme' });
      asked.push(Object.fromEntries(Object.entries(store.asked).map(([operation, times]) => [operation, times - before[operation as 'get']])));
      expect(store.entries.size).toBe(size);
      expect(await llmCache.wrap({ name: 'n', input: 0, scope: 'acme' }, () => 'new')).toBe('new');
    }
    expect(asked).toEqual([{ get: 0, set: 1, delete: 0 }, { get: 0, set: 1, delete: 0 }]);
  });
});

it('LlmService inside a method is of the tenant of the method', async () => {
  const provider = new FakeLlmProvider();
  @Injectable()
  class Answers {
    constructor(@Inject(LlmService) private readonly llm: LlmService) {}

    @CacheLlm({ scope: (tenant: string) => tenant, key: (_tenant: string, question: string) => question })
    async answer(_tenant: string, question: string): Promise<string> {
      return this.llm.text(question);
    }
  }
  const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot({ provider, secret, encryption })], providers: [Answers] }).compile();
  opened(await moduleRef.init());
  for (const tenant of ['acme', 'globex', 'acme']) await moduleRef.get(Answers).answer(tenant, 'q');
  expect(provider.calls).toHaveLength(2);
  await moduleRef.get(LlmCache).invalidate({ scope: 'globex' });
  await moduleRef.get(Answers).answer('globex', 'q');
  expect(provider.calls).toHaveLength(3); // the inner entry was of the tenant too
});
