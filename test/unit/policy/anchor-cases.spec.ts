import { readFileSync } from 'node:fs';
import { describe, expect, it, jest } from '@jest/globals';
import { createCache } from 'cache-manager';
import { CacheLlm, type CacheableFilter, type CacheOutcome, type CallOptions, LlmCache, type LlmCacheOptions, LlmService, attachLlmCache } from 'nestjs-llm-cache';
import { FakeLlmProvider } from 'nestjs-llm-cache/testing';

/** What LLM caches were seen to store and should not have. Numbers are those of the list the cases come from. */

function setUp(options: LlmCacheOptions = {}) {
  const llmCache = new LlmCache(options);
  const reasons: Array<string | undefined> = [];
  const ask = (produce: () => unknown, call: CallOptions = {}) =>
    llmCache.wrap({ name: 'Test.ask', input: 'question' }, produce, { onOutcome: ({ status, reason }: CacheOutcome) => reasons.push(reason ?? status), ...call });
  return { llmCache, reasons, ask };
}

describe('47 and 48: a failure', () => {
  it.each([429, 500, 503])('returned as the body of an HTTP %d is not stored', async (code) => {
    const { ask, reasons } = setUp();
    const body = { error: { code, message: 'try again later' } };
    expect(await ask(() => body)).toBe(body);
    expect(await ask(() => 'Tokyo.')).toBe('Tokyo.');
    expect(reasons).toEqual(['error', 'miss']);
  });

  it('thrown is rethrown, and not stored', async () => {
    const { ask, llmCache } = setUp();
    const failure = new Error('429');
    await expect(ask(() => Promise.reject(failure))).rejects.toBe(failure);
    expect(await ask(() => 'Tokyo.')).toBe('Tokyo.');
    expect(llmCache.stats()).toMatchObject({ upstream: 2, errors: 1, stored: 1 });
  });
});

describe('52: a plain method\'s answer', () => {
  const stores = { memory: undefined, 'cache-manager': createCache() };

  it.each(Object.entries(stores))('in %s: undefined, null and the empty text are asked for again; 0, false, [] and {} are answers', async (name, store) => {
    const llmCache = new LlmCache(store === undefined ? {} : { stores: store });
    for (const [input, answer] of [undefined, null, '', 0, false, [], {}, { a: undefined }].entries()) {
      const produce = jest.fn(() => answer);
      const ask = () => llmCache.wrap({ name, input }, produce);
      expect([await ask(), await ask()]).toEqual([answer, answer]);
      expect(produce).toHaveBeenCalledTimes(answer === undefined || answer === null || answer === '' ? 2 : 1);
    }
  });
});

describe('53 and 54: an answer that fails the user\'s schema', () => {
  const isCapital: CacheableFilter = (answer) => typeof (answer as { capital?: unknown }).capital === 'string';

  it('is not stored', async () => {
    const { ask, reasons } = setUp({ cacheable: isCapital });
    await ask(() => ({ city: 'Tokyo' }));
    await ask(() => ({ capital: 'Tokyo' }));
    expect(await ask(() => 'never')).toEqual({ capital: 'Tokyo' });
    expect(reasons).toEqual(['not-cacheable', 'miss', 'hit']);
  });

  it('and was stored before the schema changed is a miss, and is replaced', async () => {
    const { ask, reasons } = setUp();
    await ask(() => ({ city: 'Tokyo' }));
    expect(await ask(() => ({ capital: 'Tokyo' }), { cacheable: isCapital })).toEqual({ capital: 'Tokyo' });
    expect(await ask(() => 'never')).toEqual({ capital: 'Tokyo' });
    expect(reasons).toEqual(['miss', 'miss', 'hit']);
  });

  it('is told apart from a fresh one by `stored`', async () => {
    const seen: boolean[] = [];
    const { ask } = setUp({ cacheable: (_answer, { stored }) => seen.push(stored) > 0 });
    await ask(() => 'Tokyo.');
    await ask(() => 'never');
    expect(seen).toEqual([false, true]);
  });

  it('is asked for again with noCache: the retry does not read it, and overwrites it', async () => {
    const { ask, reasons } = setUp();
    const validated = async (produce: () => unknown): Promise<unknown> => {
      const answer = await ask(produce);
      return isCapital(answer, { name: '', stored: false }) ? answer : ask(produce, { noCache: true });
    };
    const answers = [{ city: 'Tokyo' }, { capital: 'Tokyo' }];
    expect(await validated(() => answers.shift())).toEqual({ capital: 'Tokyo' });
    expect(await ask(() => 'never')).toEqual({ capital: 'Tokyo' });
    expect(reasons).toEqual(['miss', 'miss', 'hit']);
  });
});

const SNAPSHOT = /^((-|@)(\d{3,8}|\d{4}-\d\d-\d\d)|:latest)$/;

/** The recipe of docs/gate.md: the model that was asked for, or a dated snapshot of it. */
function isModel(asked: string, answered: string | undefined): boolean {
  if (answered === undefined || answered === asked) return true;
  return answered.startsWith(asked) && SNAPSHOT.test(answered.slice(asked.length));
}

describe('55: an answer of a fallback model', () => {
  const completion = (model: string, content: string) => ({
    object: 'chat.completion', model, choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content } }],
  });
  const question = { model: 'gpt-4o', messages: [{ role: 'user', content: 'What is the capital of Japan?' }] };
  const onlyAsked: CacheableFilter = (_answer, { model }) => isModel('gpt-4o', model);

  function serviceWith(options: LlmCacheOptions, ...models: string[]) {
    const provider = new FakeLlmProvider(...models.map((model) => completion(model, `by ${model}`)));
    const llmCache = new LlmCache(options);
    return { provider, llmCache, llm: new LlmService(llmCache, provider) };
  }

  it.each([
    ['gpt-4o', 'gpt-4o', true],
    ['gpt-4o', 'gpt-4o-2024-08-06', true],
    ['gpt-4', 'gpt-4-0613', true],
    ['claude-sonnet-4-5', 'claude-sonnet-4-5-20250929', true],
    ['claude-sonnet-4-5', 'claude-sonnet-4-5@20250929', true],
    ['gemini-1.5-pro', 'gemini-1.5-pro-002', true],
    ['llama3.2', 'llama3.2:latest', true],
    ['gpt-4o', undefined, true],
    ['gpt-4o', 'gpt-4o-mini', false],
    ['gpt-4o', 'gpt-4o-mini-2024-07-18', false],
    ['gpt-4', 'gpt-4-32k', false],
    ['gpt-4', 'gpt-4o', false],
    ['claude-opus-4', 'claude-opus-4-1', false],
    ['gpt-4o', 'claude-sonnet-4-5', false],
  ])('the recipe: %s answered by %s: %p', (asked, answered, expected) => {
    expect(isModel(asked, answered)).toBe(expected);
  });

  it('the recipe is the one in the docs', () => {
    const page = readFileSync(new URL('../../../docs/gate.md', import.meta.url), 'utf8');
    expect(page).toContain(`SNAPSHOT = ${String(SNAPSHOT)};`);
    expect(page).toContain('return answered.startsWith(asked) && SNAPSHOT.test(answered.slice(asked.length));');
  });

  it('is stored unless told otherwise: a name that differs may be a snapshot, a deployment or an alias', async () => {
    const { llm, provider } = serviceWith({}, 'my-azure-deployment');
    await llm.chat(question);
    await llm.chat(question);
    expect(provider.calls).toHaveLength(1);
  });

  it('is served and not stored with the recipe; a snapshot is stored', async () => {
    const { llm, provider } = serviceWith({ cacheable: onlyAsked }, 'gpt-4o-mini-2024-07-18', 'gpt-4o-2024-08-06');
    expect(await llm.text(question.messages, { model: 'gpt-4o' })).toBe('by gpt-4o-mini-2024-07-18');
    expect(await llm.text(question.messages, { model: 'gpt-4o' })).toBe('by gpt-4o-2024-08-06');
    expect(await llm.text(question.messages, { model: 'gpt-4o' })).toBe('by gpt-4o-2024-08-06');
    expect(provider.calls).toHaveLength(2);
  });

  it('keeps the text that a method made of it out as well', async () => {
    const { llm, llmCache, provider } = serviceWith({ cacheable: onlyAsked }, 'gpt-4o-mini', 'gpt-4o-2024-08-06');
    class Assistant {
      @CacheLlm({ model: { model: 'gpt-4o' } })
      async capital(country: string): Promise<string> {
        return llm.text(`What is the capital of ${country}?`);
      }
    }
    const assistant = attachLlmCache(new Assistant(), llmCache);
    const answers = [await assistant.capital('Japan'), await assistant.capital('Japan'), await assistant.capital('Japan')];
    expect(answers).toEqual(['by gpt-4o-mini', 'by gpt-4o-2024-08-06', 'by gpt-4o-2024-08-06']);
    expect(provider.calls).toHaveLength(2);
  });
});

describe('57: an answer that cannot be stored', () => {
  class Ticket {
    constructor(readonly id: number) {}
  }

  it('is served, with a reason, and a warning where the user can mend it', async () => {
    const { ask, reasons, llmCache } = setUp({ maxEntryBytes: 10 });
    const warnings: string[] = [];
    llmCache.on((event) => event.type === 'warning' && warnings.push(event.message));
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    expect(await ask(() => 'much too large')).toBe('much too large');
    expect(await ask(() => cycle)).toBe(cycle);
    expect(await ask(() => new Ticket(1))).toBeInstanceOf(Ticket);
    expect(reasons).toEqual(['too-large', 'unstorable', 'unstorable']);
    expect(warnings).toEqual(expect.arrayContaining([expect.stringContaining('larger than maxEntryBytes (10)'), expect.stringContaining('a cycle'), expect.stringContaining('an instance of Ticket')]));
  });
});
