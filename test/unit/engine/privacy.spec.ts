import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { LlmCacheConfigError, PiiRedactionError } from '../../../lib/core/errors.js';
import type { PiiMode, PiiOptions, PiiSpan, Redaction } from '../../../lib/core/pii.js';
import { Privacies, Privacy } from '../../../lib/engine/privacy.js';

const TEXT = 'Jane Doe, jane@example.com';
const MODES: PiiMode[] = ['bypass', 'redact', 'pseudonymize', 'redact-stored'];
const never = (): Promise<never> => new Promise(() => undefined);
const detecting = (detect: (text: string) => unknown): PiiOptions => ({ detectors: [{ id: 'own', version: '1', detect: detect as () => PiiSpan[] }] });
const redacting = (redact: (value: unknown) => unknown): PiiOptions => ({ redactor: { id: 'own', version: '1', redact: redact as never } });
const hook = (redact: (text: string) => unknown): PiiOptions => ({ redactor: redact as () => string, mode: 'redact' });

/** An error that holds the text wherever an error can. */
function telling(text: string): Error {
  const error = Object.assign(new Error(text, { cause: new Error(text) }), { code: text, text, name: text });
  error.stack = text;
  return error;
}

async function failure(options: PiiOptions, text: unknown = TEXT): Promise<unknown> {
  try {
    await new Privacy({ mode: 'redact', ...options }, new FakeClock()).redact(text, 'request');
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

const way = { rehydrate: () => undefined, rehydrateStream: () => undefined };
const failing: Record<string, PiiOptions> = {
  'a hook that throws': hook((text) => { throw telling(text); }),
  'a hook that throws no error': hook((text) => { throw text; }),
  'a hook that throws an error like ours': hook(() => { throw new TypeError('the function gave no Jane Doe'); }),
  'a hook that throws an error with a secret for a code': hook(() => { throw Object.assign(new Error('x'), { code: 'AKIAIOSFODNN7EXAMPLE' }); }),
  'a hook that throws what throws': hook((text) => { throw { get name() { throw telling(text); } }; }),
  'a hook that rejects': hook(async (text) => { throw telling(text); }),
  'a hook that gives nothing': hook(() => undefined),
  'a hook that gives a number': hook(async () => 5),
  'a detector that throws': detecting((text) => { throw telling(text); }),
  'a detector that rejects': detecting(async (text) => { throw telling(text); }),
  'a detector that gives no spans': detecting((text) => text),
  'a detector that gives spans outside': detecting((text) => [{ start: 0, end: text.length + 1, type: 'NAME' }]),
  'a detector that gives a text for a type': detecting((text) => [{ start: 0, end: 1, type: text }]),
  'a redactor that throws': redacting((text) => { throw telling(text as string); }),
  'a redactor that gives nothing': redacting(() => undefined),
  'a redactor that gives the text': redacting((text) => text),
  'a redactor that gives no value': redacting(() => ({ found: [], ...way })),
  'a redactor that gives a value of another kind': redacting(() => ({ value: { text: TEXT }, found: [], ...way })),
  'a redactor that does not say what it found': redacting((value) => ({ value, ...way })),
  'a redactor without a way back': { ...redacting((value) => ({ value, found: [] })), mode: 'pseudonymize' },
  'a redactor without a way back for streams': { ...redacting((value) => ({ value, found: [], rehydrate: () => undefined })), mode: 'pseudonymize' },
};

describe('a redactor that fails', () => {
  it.each(Object.entries(failing))('fails closed, with an error that holds nothing of the text: %s', async (_name, options) => {
    const error = (await failure(options)) as PiiRedactionError;
    expect(PiiRedactionError.isInstance(error)).toBe(true);
    for (const shown of [error.message, String(error.stack), inspect(error, { depth: 9, showHidden: true }), JSON.stringify(error), JSON.stringify(Object.getOwnPropertyDescriptors(error))]) {
      expect(shown.replaceAll(/at .*|file:.*/g, '')).not.toMatch(/jane|doe\b|AKIA/i);
    }
    expect(error.cause).toBeUndefined();
  });

  it.each([
    ['a hook that throws', hook(() => { throw new RangeError('x'); }), 'threw RangeError,'],
    ['a code', hook(() => { throw Object.assign(new Error('x'), { code: 'ECONNREFUSED' }); }), 'threw Error (ECONNREFUSED),'],
    ['no error', hook(() => { throw 'x'; }), 'threw something,'],
    ['its own timeout', hook(() => { throw new DOMException('x', 'TimeoutError'); }), 'threw TimeoutError,'],
    ['nonsense', hook(() => 5), 'failed: the function gave no text,'],
    ['spans', detecting(() => 5), 'failed: a detector gave no list of spans,'],
  ])('says what went wrong: %s', async (_name, options, words) => {
    expect(String(await failure(options))).toContain(words);
  });

  it('says where personal data cannot be replaced', async () => {
    expect(String(await failure({}, { page: new URL('https://a.test/?mail=jane@example.com') }))).toContain('found personal data where it cannot be replaced');
  });
});

describe('a redactor that hangs', () => {
  it.each<[string, PiiOptions]>([['a hook', hook(never)], ['a detector', detecting(never)], ['a redactor', redacting(never)]])('fails after the timeout, and hears of it: %s', async (_name, options) => {
    const clock = new FakeClock();
    const redacted = new Privacy({ mode: 'redact', timeout: '2s', ...options }, clock).redact(TEXT, 'request');
    clock.advance('2s');
    await expect(redacted).rejects.toThrow('took longer than pii.timeout (2000 ms)');
  });

  it('is not cut off earlier, is told, and leaves no timer', async () => {
    const clock = new FakeClock();
    let signal: AbortSignal | undefined;
    let settle: (redaction: unknown) => void = () => undefined;
    const privacy = new Privacy({ mode: 'redact', redactor: { id: 'own', version: '1', redact: (_value, context) => ((signal = context.signal), new Promise((resolve) => (settle = resolve as never))) } }, clock);
    const first = privacy.redact('a', 'request');
    clock.advance('4999ms');
    settle({ value: 'b', found: [] });
    expect(await first).toMatchObject({ value: 'b' });
    clock.advance('1h');
    expect(signal!.aborted).toBe(false);
    const late = privacy.redact('a', 'request');
    clock.advance('5s');
    await expect(late).rejects.toThrow('5000 ms');
    expect(signal!.reason).toMatchObject({ name: 'TimeoutError' });
    settle({ value: 'b', found: [] });
  });
});

describe('an answer', () => {
  const question = (privacy: Privacy): Redaction<string> => privacy.redact(TEXT, 'request') as Redaction<string>;
  const privacyOf = (options: PiiOptions): Privacy => new Privacy(options, new FakeClock());

  it.each<[PiiOptions, string | undefined, string]>([
    [{ mode: 'bypass' }, 'pii', 'card 4111 1111 1111 1111'],
    [{ mode: 'bypass', onResponsePii: 'store' }, undefined, 'card 4111 1111 1111 1111'],
    [{ mode: 'bypass', onResponsePii: 'redact' }, undefined, 'card [[CREDIT_CARD_1]]'],
    [{ mode: 'redact' }, undefined, 'card 4111 1111 1111 1111'],
    [{ mode: 'redact-stored' }, undefined, 'card [[CREDIT_CARD_1]]'],
    [{ mode: 'pseudonymize' }, 'pii', 'card 4111 1111 1111 1111'],
  ])('that holds personal data: %j', async (options, refused, value) => {
    expect(await privacyOf(options).examine('card 4111 1111 1111 1111', false, undefined)).toEqual({ value, refused });
  });

  it.each([['[[EMAIL_1]] it is', undefined], ['[email_1] it is', undefined], ['[[EMAIL_2]] it is', 'pii'], ['[email_2] it is', 'pii'], ['[[PHONE_9]]', 'pii'], ['[note_1]', undefined]])('with placeholders: %s', async (answer, refused) => {
    const privacy = privacyOf({ mode: 'pseudonymize' });
    expect(await privacy.examine({ text: answer }, false, question(privacy))).toEqual({ value: { text: answer }, refused });
  });

  it('that cannot be examined is given and not stored', async () => {
    for (const options of Object.values(failing)) {
      if (options.redactor === undefined || options.mode === 'pseudonymize') continue;
      expect(await privacyOf({ ...options, mode: 'redact-stored' }).examine(TEXT, false, undefined)).toEqual({ value: TEXT, refused: 'pii-error' });
    }
  });

  it('that came as a stream is not redacted: it was seen', async () => {
    expect(await privacyOf({ mode: 'redact-stored' }).examine(TEXT, true, undefined)).toEqual({ value: TEXT, refused: 'pii' });
  });
});

describe('the options of a call', () => {
  const clock = new FakeClock();
  const modeOf = (...given: Array<PiiOptions | false | undefined>): PiiMode | undefined => new Privacies(given[0], clock).of(given[1], given[2])?.mode;

  it.each<[Array<PiiOptions | false | undefined>, PiiMode | undefined]>([
    [[], undefined], [[false], undefined], [[{}], 'bypass'], [[{ redactor: (text) => text }], 'redact-stored'], [[{ mode: 'redact' }, { entities: ['IP'] }], 'redact'], [[{ mode: 'redact' }, false], undefined],
    [[{ mode: 'redact' }, { mode: 'bypass' }, { mode: 'pseudonymize' }], 'pseudonymize'], [[{ mode: 'redact' }, false, {}], 'bypass'], [[undefined, undefined, { mode: 'redact' }], 'redact'], [[{ mode: 'redact' }, {}, false], undefined],
  ])('are merged: %j', (given, mode) => {
    expect(modeOf(...given)).toBe(mode);
  });

  it('replace a redactor by entities, and these by a redactor', () => {
    const text = (options: Privacy | undefined): unknown => (options!.redact('10.1.2.3 a@x.com', 'request') as Redaction<string>).value;
    const hidden = { mode: 'redact' as const, redactor: (): string => 'hidden' };
    expect(text(new Privacies(hidden, clock).of({ entities: ['IP'] }))).toBe('[[IP_1]] a@x.com');
    expect(text(new Privacies({ mode: 'redact', entities: ['IP'] }, clock).of(hidden))).toBe('hidden');
  });

  it('are remembered, and those that do not go together are refused', () => {
    const [privacies, method, call] = [new Privacies({ redactor: (text) => text }, clock), {}, {}];
    expect(privacies.of(method, call)).toBe(privacies.of(method, call));
    expect(privacies.of(method)).not.toBe(privacies.of(method, call));
    expect(() => privacies.of({ mode: 'pseudonymize' })).toThrow(LlmCacheConfigError);
  });

  it('have a label each: what one let through, the other does not find', () => {
    const own = { id: 'own', version: '1', detect: () => [] };
    const options: PiiOptions[] = [
      ...MODES.map((mode) => ({ mode })), { entities: ['EMAIL'] }, { entities: ['IP'] }, { detectors: [own] }, { detectors: [{ ...own, version: '2' }] }, { detectors: [{ ...own, id: 'two' }] },
      { redactor: (text) => text }, { redactor: (text) => text.trim() }, { onResponsePii: 'store' }, { onResponsePii: 'redact' },
    ];
    expect(new Set(options.map((given) => new Privacy(given, clock).label)).size).toBe(options.length);
    expect(new Privacy({ entities: ['IP', 'EMAIL'] }, clock).label).toBe(new Privacy({ entities: ['EMAIL', 'IP'], timeout: '1s' }, clock).label);
  });
});
