import { describe, expect, it } from '@jest/globals';
import { LlmCache, LlmCacheConfigError, UncacheableInputError } from 'nestjs-llm-cache';
import { canonicalForm } from '../../../lib/key/canonical-form.js';
import { locate } from '../../../lib/key/locate.js';

const llmCache = new LlmCache();
const keyOfInput = (input: unknown): string => llmCache.keyFor({ name: 'n', input });

function ms(run: () => unknown): number {
  const start = performance.now();
  try {
    run();
  } catch {
    // the refusal is expected
  }
  return performance.now() - start;
}

describe('locating a refusal', () => {
  it('takes less than a second, whatever the input', () => {
    let bomb: unknown = {};
    for (let level = 0; level < 40; level++) bomb = { a: bomb, b: bomb, c: bomb };
    expect(ms(() => locate(bomb))).toBeLessThan(1_000);
  }, 120_000);
});

describe('a wide object shared many times', () => {
  it('is refused in less than a second', () => {
    const wide = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`k${index}`, 1]));
    expect(ms(() => canonicalForm(Array.from({ length: 50_000 }, () => wide)))).toBeLessThan(1_000);
  }, 60_000);
});

describe('given names', () => {
  it('that differ after a second # do not share an entry', () => {
    const key = (name: string): string => llmCache.keyFor({ name, input: 1 });
    expect(key('docs#docs.search#v1')).not.toBe(key('docs#docs.search#v2'));
  });
});

describe('different data', () => {
  it.each<[string, unknown, unknown]>([
    ['fields on a Buffer', Object.assign(Buffer.from('x'), { filename: 'a' }), Object.assign(Buffer.from('x'), { filename: 'b' })],
    ['fields on a URL', Object.assign(new URL('https://a.test'), { tenant: 1 }), Object.assign(new URL('https://a.test'), { tenant: 2 })],
    ['symbol fields on a Map', Object.assign(new Map(), { [Symbol.for('t')]: 1 }), Object.assign(new Map(), { [Symbol.for('t')]: 2 })],
    ['symbol fields on an array', Object.assign([1], { [Symbol.for('t')]: 1 }), Object.assign([1], { [Symbol.for('t')]: 2 })],
    [
      'defaults on a prototype',
      Object.assign(Object.create({ temperature: 0 }) as object, { model: 'm' }),
      Object.assign(Object.create({ temperature: 1 }) as object, { model: 'm' }),
    ],
  ])('%s: no shared key', (_title, a, b) => {
    const keys = [a, b].map((input) => {
      try {
        return keyOfInput(input);
      } catch {
        return Symbol('refused');
      }
    });
    expect(keys[0]).not.toBe(keys[1]);
  });
});

describe('sparse arrays', () => {
  it('are explained', () => {
    // oxlint-disable-next-line no-sparse-arrays
    expect(llmCache.explain({ name: 'n', input: [, 1] }, { name: 'n', input: [, 2] })).toEqual([{ path: 'input[1]', kind: 'value' }]);
  });

  it('are searched for what is refused', () => {
    // oxlint-disable-next-line no-sparse-arrays
    expect(() => keyOfInput([, () => 1])).toThrow(new UncacheableInputError('input[1]', 'a function'));
  });
});

describe('a stateful field declared volatile', () => {
  it('is treated alike in the model configuration and in the request', () => {
    const cache = new LlmCache({ volatile: ['store'] });
    const refused = (parts: { input: unknown; model?: Record<string, unknown> }): boolean => {
      try {
        cache.keyFor({ name: 'n', ...parts });
        return false;
      } catch {
        return true;
      }
    };
    expect(refused({ input: { messages: [], store: true } })).toBe(refused({ input: 1, model: { store: true } }));
  });
});

describe('options on a prototype', () => {
  it('are checked, or not used', async () => {
    class Options {
      get ttl(): never {
        return 'soon' as never;
      }
    }
    let cache: LlmCache;
    try {
      cache = new LlmCache(new Options());
    } catch (error) {
      expect(error).toBeInstanceOf(LlmCacheConfigError);
      return;
    }
    let calls = 0;
    const ask = (): Promise<number> => cache.wrap({ name: 'n', input: 1 }, () => ++calls);
    expect([await ask(), await ask()]).toEqual([1, 1]);
  });
});
