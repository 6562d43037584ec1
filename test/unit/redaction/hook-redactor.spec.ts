import { describe, expect, it } from '@jest/globals';
import type { PiiContext, Redaction, RedactText } from '../../../lib/core/pii.js';
import { HookRedactor } from '../../../lib/redaction/hook-redactor.js';

const CONTEXT: PiiContext = { path: ['input'], direction: 'request' };
const redact = <T>(hook: unknown, value: T): Redaction<T> => new HookRedactor(hook as RedactText).redact(value, CONTEXT) as Redaction<T>;
/** The same, where the function takes its time. */
const redactLater = async <T>(hook: unknown, value: T): Promise<Redaction<T>> => redact(hook, value);
const hide = (text: string): string => text.replaceAll('secret', '***');

describe('a redactor that is one function', () => {
  const given = Object.freeze({ b: ['a secret', 'nothing'], a: 'secret', model: 'secret', 'secret key': 5 });
  const wanted = { b: ['a ***', 'nothing'], a: '***', model: 'secret', '*** key': 5 };

  it.each([['at once', hide], ['later', async (text: string) => hide(text)], ['now and then', (text: string) => (text === 'secret' ? Promise.resolve('***') : hide(text))]])(
    'redacts every text, %s',
    async (_name, hook) => {
      const redaction = await redactLater(hook, given);
      expect(redaction.value).toEqual(wanted);
      expect(redaction.found).toEqual([{ type: 'REDACTED', path: ['input', 'a'] }, { type: 'REDACTED', path: ['input', 'secret key'] }, { type: 'REDACTED', path: ['input', 'b', 0] }]);
    },
  );

  it('gives its answer at once where the function does, and the same object where nothing changed', () => {
    expect(redact((text: string) => text, given).value).toBe(given);
    expect(redact(hide, 'secret')).toMatchObject({ value: '***', found: [{ type: 'REDACTED', path: ['input'] }] });
  });

  it('has no way back', () => {
    const { rehydrate, rehydrateStream } = redact(hide, 'secret');
    const stream = rehydrateStream();
    expect([rehydrate('***'), stream.push('**'), stream.end()]).toEqual(['***', '**', '']);
  });

  it.each([undefined, null, 5, {}, ['text']])('fails when the function gives %j', async (nonsense) => {
    expect(() => redact(() => nonsense, 'text')).toThrow('the function gave no text');
    await expect(redactLater(async () => nonsense, 'text')).rejects.toThrow('the function gave no text');
  });

  it('fails as the function does; what it had begun ends no process', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    const hook = (text: string): Promise<string> => {
      if (text === 'b') throw new Error('at once');
      return Promise.reject(new Error('later'));
    };
    expect(() => redact(hook, ['a', 'b'])).toThrow('at once');
    await expect(redactLater(hook, ['a', 'c'])).rejects.toThrow('later');
    await new Promise(setImmediate);
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });

  it('has a version of its source', () => {
    const versions = [hide, (text: string) => hide(text), (text: string) => text].map((hook) => new HookRedactor(hook).version);
    expect(new Set(versions).size).toBe(3);
    expect(new HookRedactor(hide).version).toBe(versions[0]);
  });
});
