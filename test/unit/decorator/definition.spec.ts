import { describe, expect, it } from '@jest/globals';
import 'reflect-metadata';
import { SetMetadata } from '@nestjs/common';
import { CacheLlm, type CacheLlmOptions, LlmCacheConfigError } from 'nestjs-llm-cache';

class Service {
  readonly language = 'English';
}

class Answer {
  readonly text = '';
}

/** Applies the decorator the way TypeScript's emitted code does, past the compiler's checks. */
function decorate(options: unknown, method: unknown = async () => 1, target: object = Object.create(Service.prototype) as object, declared?: unknown): void {
  const descriptor = method === undefined ? undefined : { value: method, configurable: true, writable: true };
  if (declared !== undefined) Reflect.defineMetadata('design:returntype', declared, target, 'ask');
  const decorator = CacheLlm(options as CacheLlmOptions) as (...args: unknown[]) => void;
  decorator(target, 'ask', descriptor);
}

function errorOf(run: () => unknown): LlmCacheConfigError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(LlmCacheConfigError);
    return error as LlmCacheConfigError;
  }
  throw new Error('nothing was thrown');
}

describe('@CacheLlm on what is no instance method', () => {
  it('refuses a static method', () => {
    const failure = errorOf(() => {
      class Tickets {
        readonly language = 'English';

        @CacheLlm()
        static async ask(): Promise<number> {
          return 1;
        }
      }
      return Tickets;
    });
    expect(failure.message).toContain('instance methods only');
    expect(failure.message).toContain('ask');
    expect(failure.code).toBe('LLM_CACHE_CONFIG');
  });

  it('refuses a property', () => {
    const failure = errorOf(() => {
      class Tickets {
        // @ts-expect-error the compiler refuses it first
        @CacheLlm()
        ask = async (): Promise<number> => 1;
      }
      return Tickets;
    });
    expect(failure.message).toContain('instance methods only');
  });

  it('refuses a getter', () => {
    const failure = errorOf(() => {
      class Tickets {
        // @ts-expect-error the compiler refuses it first
        @CacheLlm()
        get ask(): number {
          return 1;
        }
      }
      return Tickets;
    });
    expect(failure.message).toContain('instance methods only');
  });

  it('refuses a class', () => {
    expect(errorOf(() => (CacheLlm() as (...args: unknown[]) => void)(Service, undefined, undefined)).message).toContain(
      'instance methods only',
    );
  });
});

describe('the declared return type', () => {
  it.each([String, Number, Boolean, Array, Map, Date, BigInt, Symbol, Answer])('%p is refused: a cached method is waited for', (declared) => {
    const { message } = errorOf(() => decorate({}, () => 1, undefined, declared));
    expect(message).toMatch(/^@CacheLlm\(\) on Service\.ask/);
    expect(message).toContain(declared.name);
    expect(message).toMatch(/async/);
  });

  it('is what TypeScript emits for a synchronous method', () => {
    const failure = errorOf(() => {
      class Tickets {
        // @ts-expect-error the compiler refuses it first
        @CacheLlm()
        ask(): string {
          return 'x';
        }
      }
      return Tickets;
    });
    expect(failure.message).toContain('String');
  });

  it.each([Promise, Object, undefined])('%p is accepted', (declared) => {
    expect(() => decorate({}, () => 1, undefined, declared)).not.toThrow();
  });

  it('does not matter for an async function, nor where `returns` says it', () => {
    expect(() => decorate({}, async () => 1, undefined, String)).not.toThrow();
    expect(() => decorate({ returns: 'promise' }, () => 1, undefined, String)).not.toThrow();
  });
});

describe('options', () => {
  const DURATION = /'500ms', '30s', '15m', '12h', '7d'/;
  const cases: Array<[option: string, accepted: RegExp, values: unknown[]]> = [
    ['name', /non-empty string/, ['', 0, 1, null, true, {}, [], () => 'x', Symbol('x')]],
    ['model', /an object, or a function/, ['gpt-4o', 1, null, true, [], ['a']]],
    ['version', /non-empty string or a finite number/, ['', NaN, Infinity, null, true, {}, [], () => 1]],
    ['ttl', DURATION, [0, -1, 1.5, NaN, Infinity, '', 'soon', '1', '1 h', '-1h', '1.5h', '1w', '0s', null, true, {}, [], () => 1]],
    ['staleWhileRevalidate', DURATION, [0, -1, NaN, '', 'soon', null, true, {}, []]],
    ['staleIfError', DURATION, [0, -1, NaN, '', 'soon', null, true, {}, []]],
    ['key', /a function/, ['question', 1, null, true, {}, []]],
    ['scope', /a function/, ['tenant', 0, null, true, {}, []]],
    ['tags', /an array of non-empty strings, or a function/, ['tag', 1, null, true, {}, [''], [1], [null], ['ok', '']]],
    ['cacheable', /a function/, [true, false, 'yes', null, {}, []]],
    ['revive', /a function/, [true, 'Date', null, {}, []]],
    ['returns', /'promise' or 'asyncIterable' or 'observable' or 'readableStream'/, ['', 'Promise', 'stream', 1, null, true, {}, [], Promise]],
    ['optional', /true or false/, [0, 1, 'true', '', null, {}, []]],
  ];

  describe.each(cases)('%s', (option, accepted, values) => {
    it.each(values.map((value) => [value]))('refuses %p', (value) => {
      const { message } = errorOf(() => decorate({ [option]: value }));
      expect(message).toMatch(/^@CacheLlm\(\) on Service\.ask: /);
      expect(message).toContain(`"${option}"`);
      expect(message).toMatch(accepted);
    });

    it('takes undefined for not given', () => {
      expect(() => decorate({ [option]: undefined })).not.toThrow();
    });
  });

  it.each([null, 1, '5m', true, [], () => ({})])('refuses %p in place of the options', (options) => {
    expect(errorOf(() => decorate(options)).message).toMatch(/^@CacheLlm\(\) on Service\.ask: the options must be an object/);
  });

  it.each(['tttl', 'staleOnError', 'namespace', 'toString', '__proto__'])('refuses the unknown option %s', (name) => {
    const options: unknown = JSON.parse(`{"${name}": 1}`);
    const { message } = errorOf(() => decorate(options));
    expect(message).toContain(`unknown option "${name}"`);
    expect(message).toContain('Known options: name, model, version, ttl, staleWhileRevalidate, staleIfError, key, scope, tags, cacheable, revive, pii, returns, optional');
  });

  it('never quotes a value', () => {
    for (const [option] of cases) {
      const { message } = errorOf(() => decorate({ [option]: { apiKey: 'sk-secret-1234' }, returns: 'sk-secret-1234', name: '' }));
      expect(message).not.toContain('sk-secret');
    }
  });

  it('accepts every option in every form', () => {
    const forms: CacheLlmOptions[] = [
      { name: 'n', model: { model: 'm' }, version: 1, ttl: '7d', tags: ['a'], returns: 'promise', optional: true },
      { model: () => ({}), version: 'v', ttl: false, tags: () => ['a'], key: () => 1, scope: () => 't', cacheable: () => true, revive: (v) => v },
      { ttl: 1, version: 0, tags: [], optional: false },
    ];
    for (const options of forms) expect(() => decorate(options)).not.toThrow();
  });
});

describe('the wrapper', () => {
  class Tickets {
    @CacheLlm()
    @SetMetadata('below', 1)
    async ask(_question: string, _tone = 'dry'): Promise<number> {
      return 1;
    }
  }

  it('keeps name, length and metadata, and stays configurable, writable and not enumerable', () => {
    const { ask } = Tickets.prototype;
    expect([ask.name, ask.length]).toEqual(['ask', 1]);
    expect(Reflect.getMetadata('below', ask)).toBe(1);
    expect(Object.getOwnPropertyDescriptor(Tickets.prototype, 'ask')).toMatchObject({ configurable: true, writable: true, enumerable: false });
    expect(Object.keys(Tickets.prototype)).toEqual([]);
  });

  it('works on any `this`, even none', async () => {
    const { ask } = Tickets.prototype;
    for (const self of [undefined, null, 1, 'x', {}]) expect(await Reflect.apply(ask, self, ['q'])).toBe(1);
  });
});
