import { readFileSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module, type Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  CacheLlm,
  LlmCache,
  LlmCacheConfigError,
  type LlmCacheEvent,
  LlmCacheModule,
  type LlmCacheOptions,
  LlmService,
  type ChatRequest,
  type CacheLlmOptions,
  type KeyParts,
  type LlmProvider,
  type ModelConfig,
  memoryStore,
  ScopeRequiredError,
  UncacheableInputError,
} from 'nestjs-llm-cache';
import { FakeLlmProvider } from 'nestjs-llm-cache/testing';
import type { MemoryAdapter } from '../../lib/stores/memory/memory-adapter.js';
import { valueOf } from '../fixtures/values.js';

type Route = 'decorator' | 'wrap' | 'llm-service';

type ClassName = 'Assistant' | 'Librarian' | 'InheritingAssistant' | 'OverridingAssistant';

/** What surrounds a call; see `about` in `keys.json`. */
interface Surroundings {
  module?: LlmCacheOptions;
  method?: { name?: string; version?: string | number };
  class?: ClassName;
  call?: 'ask' | 'answer';
  config?: ModelConfig;
  provider?: string;
  scope?: unknown;
  required?: boolean;
}

interface Case {
  case: number;
  title: string;
  a: unknown;
  b: unknown;
  verdict: 'hit' | 'miss' | 'bypass';
  through?: Route[];
  with?: Surroundings;
  withB?: Surroundings;
  sameObject?: boolean;
  insideA?: 'push a message';
  between?: keyof typeof BETWEEN;
  /** Where the value sits that has no key, below the request or the argument list; `path` is the whole of it. */
  at?: string;
  path?: string;
  problem?: string;
  error?: 'ScopeRequiredError';
  /** A text that must not show anywhere. */
  secret?: string;
}

const { base, cases } = JSON.parse(readFileSync(new URL('../fixtures/keys.json', import.meta.url), 'utf8')) as {
  base: Record<string, unknown>;
  cases: Case[];
};

const ALL_ROUTES: Route[] = ['decorator', 'wrap', 'llm-service'];

const ROWS = cases.flatMap((row) =>
  (row.through ?? ALL_ROUTES).map((route) => {
    const name = `case ${row.case} is a ${row.verdict} through ${route}: ${row.title}`;
    return Object.assign(structuredClone(row), { route, name });
  }),
);

const STATUSES = { hit: ['miss', 'hit'], miss: ['miss', 'miss'], bypass: ['bypass', 'bypass'] } as const;

function expectPath(row: Case & { route: Route }, error: unknown, world: World): void {
  expect(error).toBeInstanceOf(UncacheableInputError);
  const { path, problem } = error as UncacheableInputError;
  if (row.problem !== undefined) expect(problem).toBe(row.problem);
  if (row.at === undefined && row.path === undefined) return;
  const expected = row.path ?? `${rootOf(row)}${row.at}`;
  expect(path).toBe(expected);
  if (row.problem !== undefined) expect(world.warnings.join()).toContain(`${expected} is ${row.problem}`);
}

function rootOf({ route, a }: Case & { route: Route }): string {
  if (route === 'llm-service') return 'model';
  return route === 'decorator' && !Array.isArray(a) ? 'input[0]' : 'input';
}

/** A request, over the base request unless it has messages of its own; or an argument list. */
function inputOf(written: unknown): unknown {
  if (Array.isArray(written)) return valueOf(written);
  const hasMessages = Object.hasOwn(written as object, 'messages');
  return hasMessages ? valueOf(written) : { ...(structuredClone(base) as object), ...(valueOf(written) as object) };
}

/** The same object with the content of another. */
function changedTo(object: unknown, content: unknown): unknown {
  for (const key of Object.keys(object as object)) delete (object as Record<string, unknown>)[key];
  return Object.assign(object as object, content);
}

type Upstream = (request: unknown) => string;
const NOBODY: Upstream = () => 'nobody asks';

interface AskService {
  config: ModelConfig | undefined;
  ask(...args: unknown[]): Promise<string>;
  answer(...args: unknown[]): Promise<string>;
}

/** Classes as a user would write them; made anew for each app, with the options of the case. */
function servicesOf(method: NonNullable<Surroundings['method']>, upstream: Upstream): Record<ClassName, Type<AskService>> {
  const options: CacheLlmOptions<[]> = {
    ...method,
    model(this: AskService): ModelConfig {
      return this.config ?? {};
    },
  };

  @Injectable()
  class Assistant implements AskService {
    config: ModelConfig | undefined;

    @CacheLlm(options)
    async ask(...args: unknown[]): Promise<string> {
      return upstream(args[0]);
    }

    @CacheLlm({ ...options, name: undefined })
    async answer(...args: unknown[]): Promise<string> {
      return upstream(args[0]);
    }
  }

  @Injectable()
  class InheritingAssistant extends Assistant {}

  @Injectable()
  class OverridingAssistant extends Assistant {
    @CacheLlm(options)
    override async ask(...args: unknown[]): Promise<string> {
      return upstream(args[0]);
    }
  }

  @Injectable()
  class Librarian implements AskService {
    config: ModelConfig | undefined;

    @CacheLlm(options)
    async ask(...args: unknown[]): Promise<string> {
      return upstream(args[0]);
    }

    async answer(...args: unknown[]): Promise<string> {
      return this.ask(...args);
    }
  }

  return { Assistant, InheritingAssistant, OverridingAssistant, Librarian };
}

interface App {
  moduleRef: TestingModule;
  llmCache: LlmCache;
  services: Record<ClassName, Type<AskService>>;
}

/** The apps of the cases, on one store that is empty when a case begins; calls with the same surroundings share an app. */
class World {
  upstreamCalls = 0;
  private events: LlmCacheEvent[] = [];
  private readonly store = memoryStore();
  private readonly apps = new Map<string, App>();
  /** One object for all calls, changed in between: what a key was made from must not be remembered by identity. */
  private readonly config: ModelConfig = {};
  private insideA: Case['insideA'];

  get statuses(): string[] {
    return this.events.flatMap((event) => ('outcome' in event ? event.outcome.status : []));
  }

  get warnings(): string[] {
    return this.events.flatMap((event) => (event.type === 'warning' ? event.message : []));
  }

  async reset(): Promise<void> {
    this.upstreamCalls = 0;
    this.events = [];
    await this.store.clear();
  }

  everythingTold(): string {
    return JSON.stringify(this.events);
  }

  async ask(row: Case & { route: Route }, surroundings: Surroundings, input: unknown): Promise<unknown> {
    const app = await this.appOf(row, surroundings);
    this.configure(surroundings);
    if (row.route === 'decorator') {
      return this.serviceOf(app, surroundings)[surroundings.call ?? 'ask'](...argumentsOf(input));
    }
    if (row.route === 'wrap') {
      return app.llmCache.wrap(this.partsOf(surroundings, input), () => this.upstream(input));
    }
    const response = await app.moduleRef.get(LlmService).chat(input as ChatRequest);
    return response.choices[0]!.message.content;
  }

  /** What `keyFor` throws for a call. */
  async keyError(row: Case & { route: Route }, surroundings: Surroundings, input: unknown): Promise<unknown> {
    const app = await this.appOf(row, surroundings);
    this.configure(surroundings);
    try {
      return app.llmCache.keyFor(this.partsThrough(row.route, app, surroundings, input));
    } catch (error) {
      return error;
    }
  }

  async storedKeys(): Promise<string[]> {
    const keys: string[] = [];
    for await (const [key] of (this.store.store as MemoryAdapter).iterator<string>()) keys.push(key as string);
    return keys;
  }

  async changeStored(change: (key: string, text: string) => [key: string, text: string]): Promise<void> {
    const keys = await this.storedKeys();
    expect(keys).toHaveLength(1);
    const text = (await this.store.get<string>(keys[0]!))!;
    await this.store.delete(keys[0]!);
    await this.store.set(...change(keys[0]!, text));
  }

  async close(): Promise<void> {
    await Promise.all([...this.apps.values()].map(({ moduleRef }) => moduleRef.close()));
  }

  private partsThrough(route: Route, app: App, surroundings: Surroundings, input: unknown): KeyParts {
    if (route === 'wrap') return this.partsOf(surroundings, input);
    if (route === 'llm-service') return app.moduleRef.get(LlmService).partsOf(input as ChatRequest);
    return app.llmCache.partsOf(this.serviceOf(app, surroundings), surroundings.call ?? 'ask', argumentsOf(input));
  }

  private partsOf({ method, config }: Surroundings, input: unknown): KeyParts {
    return { name: 'Assistant.ask', input, ...method, ...(config && { model: this.config }) };
  }

  private configure({ config }: Surroundings): void {
    if (config !== undefined) changedTo(this.config, config);
  }

  private serviceOf(app: App, surroundings: Surroundings): AskService {
    const service = app.moduleRef.get<AskService>(app.services[surroundings.class ?? 'Assistant']);
    service.config = surroundings.config && this.config;
    return service;
  }

  private readonly upstream: Upstream = (request) => {
    this.upstreamCalls++;
    if (this.insideA !== undefined && this.upstreamCalls === 1) {
      (request as ChatRequest).messages.push({ role: 'user', content: 'pushed' });
    }
    return `answer ${this.upstreamCalls}`;
  };

  private async appOf(row: Case & { route: Route }, surroundings: Surroundings): Promise<App> {
    this.insideA = row.insideA;
    const { module, method, provider, scope, required } = surroundings;
    const classes = [...new Set([row.with, row.withB].map((each): ClassName => each?.class ?? 'Assistant'))];
    // A warning is said once in an app, so a case that looks for one has an app of its own.
    const ownApp = row.verdict === 'bypass' ? [row.route, row.title] : [];
    const id = JSON.stringify([module, method, provider, scope, required, classes, ownApp]);
    return this.apps.get(id) ?? this.open(id, classes, surroundings);
  }

  private async open(id: string, classes: ClassName[], { module, method = {}, provider = 'fake', ...rest }: Surroundings): Promise<App> {
    const { upstream } = this;
    const services = servicesOf(method, upstream);
    const scope = 'scope' in rest && rest.scope !== null ? scopeOf(rest) : undefined;
    const moduleRef = await Test.createTestingModule({
      imports: [LlmCacheModule.forRoot({ stores: this.store, provider: providerOf(provider, upstream), scope, ...module })],
      providers: classes.map((name) => services[name]),
    }).compile();
    await moduleRef.init();
    const llmCache = moduleRef.get(LlmCache);
    llmCache.on((event) => void this.events.push(event));
    const app = { moduleRef, llmCache, services };
    this.apps.set(id, app);
    return app;
  }
}

function scopeOf({ scope, required }: Surroundings): LlmCacheOptions['scope'] {
  const tenant = valueOf(scope) as string | undefined;
  return { resolve: () => tenant, ...(required !== undefined && { required }) };
}

function argumentsOf(input: unknown): unknown[] {
  return Array.isArray(input) ? input : [input];
}

/** A FakeLlmProvider that also takes requests whose values its journal cannot copy. */
function providerOf(id: string, upstream: Upstream): LlmProvider {
  const fake = new FakeLlmProvider((request) => upstream(request));
  return { id, chat: (request, call) => fake.chat(canBeCopied(request) ? request : { messages: request.messages }, call) };
}

function canBeCopied(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

/** What happens to the store after the first call. */
const BETWEEN = {
  'older envelope format': (world: World) => world.changeStored((key, text) => [key, text.replace(/^llm-cache\/\d+ /, 'llm-cache/0 ')]),
  'older key schema': (world: World) => world.changeStored((key, text) => [key.replace(/^llm\d+\./, 'llm0.'), text]),
};

describe('what shares an entry (section c of the research, cases 1-46)', () => {
  const world = new World();

  beforeEach(() => world.reset());
  afterAll(() => world.close());

  it.each(ROWS)('$name', async (row) => {
    const a = inputOf(row.a);
    const answerA = await world.ask(row, row.with ?? {}, a);
    if (row.between !== undefined) await BETWEEN[row.between](world);
    const b = row.sameObject ? changedTo(a, inputOf(row.b)) : inputOf(row.b);
    const surroundingsB = { ...row.with, ...row.withB };
    const answerB = await world.ask(row, surroundingsB, b);

    expect(world.statuses).toEqual(STATUSES[row.verdict]);
    expect([answerA, answerB]).toEqual(['answer 1', row.verdict === 'hit' ? 'answer 1' : 'answer 2']);
    expect(world.upstreamCalls).toBe(row.verdict === 'hit' ? 1 : 2);

    if (row.verdict === 'bypass') {
      expect(await world.storedKeys()).toEqual([]);
      const error = await world.keyError(row, surroundingsB, b);
      if (row.error === 'ScopeRequiredError') expect(error).toBeInstanceOf(ScopeRequiredError);
      else expectPath(row, error, world);
    }
    if (row.secret !== undefined) {
      expect(world.everythingTold() + (await world.storedKeys()).join()).not.toContain(row.secret);
    }
  });
});

describe('two classes of one name (case 28)', () => {
  it('keep the app from starting, and the error asks for a name', async () => {
    const [First, Second] = [servicesOf({}, NOBODY).Assistant, servicesOf({}, NOBODY).Assistant];
    @Module({ providers: [First] })
    class FirstModule {}
    @Module({ providers: [Second] })
    class SecondModule {}
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot(), FirstModule, SecondModule] }).compile();
    const starting = moduleRef.init();
    await expect(starting).rejects.toThrow(LlmCacheConfigError);
    await expect(starting).rejects.toThrow(/"Assistant\.ask".*`name`/s);
  });
});
