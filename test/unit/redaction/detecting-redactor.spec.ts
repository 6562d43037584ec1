import { describe, expect, it } from '@jest/globals';
import type { PiiContext, PiiDetector, PiiSpan, Redaction } from '../../../lib/core/pii.js';
import { DetectingRedactor } from '../../../lib/redaction/detecting-redactor.js';
import { builtInDetector } from '../../../lib/redaction/detectors/built-in-detectors.js';
import { deferred } from '../../fixtures/deferred.js';

const CONTEXT: PiiContext = { path: [], direction: 'request', reversible: true };
const detector = (detect: (text: string, context: PiiContext) => unknown, id = 'own'): PiiDetector => ({ id, version: '1', detect: detect as PiiDetector['detect'] });
/** Finds a word, wherever it is. */
const finds = (word: string, type = 'WORD') => (text: string): PiiSpan[] => [...text.matchAll(new RegExp(word, 'g'))].map(({ index }) => ({ start: index, end: index + word.length, type }));
const redact = <T>(value: T, context: Partial<PiiContext> = {}, ...detectors: PiiDetector[]): Redaction<T> =>
  new DetectingRedactor(detectors.length > 0 ? detectors : [builtInDetector()]).redact(value, { ...CONTEXT, ...context }) as Redaction<T>;
/** The same, where a detector takes its time. */
const redactLater = <T>(...given: Parameters<typeof redact<T>>): Promise<Redaction<T>> => redact(...given) as unknown as Promise<Redaction<T>>;

describe('the redactor of detectors', () => {
  it('puts placeholders in, numbered over all texts in the order of their fields', () => {
    const given = Object.freeze({ z: 'b@x.com', a: Object.freeze(['mail a@x.com and b@x.com', 'a@x.com']), card: '4111 1111 1111 1111' });
    const { value, found, rehydrate } = redact(given);
    expect(value).toEqual({ z: '[[EMAIL_1]]', a: ['mail [[EMAIL_2]] and [[EMAIL_1]]', '[[EMAIL_2]]'], card: '[[CREDIT_CARD_1]]' });
    expect(found).toEqual([
      { type: 'CREDIT_CARD', path: ['card'] }, { type: 'EMAIL', path: ['z'] }, { type: 'EMAIL', path: ['a', 0] }, { type: 'EMAIL', path: ['a', 0] }, { type: 'EMAIL', path: ['a', 1] },
    ]);
    expect(rehydrate(value)).toEqual(given);
    expect(JSON.stringify(found)).not.toContain('@');
  });

  it('keeps values of one order apart from another: from a to b, from b to a, from a to a', () => {
    const [ab, ba, aa] = ['from a@x.com to b@x.com', 'from b@x.com to a@x.com', 'from a@x.com to a@x.com'].map((text) => redact(text).value);
    expect(ab).toBe('from [[EMAIL_1]] to [[EMAIL_2]]');
    expect(ba).toBe(ab);
    expect(aa).toBe('from [[EMAIL_1]] to [[EMAIL_1]]');
  });

  it('counts anew for each request', () => {
    const redactor = new DetectingRedactor([builtInDetector()]);
    const [first, second] = ['a@x.com', 'b@x.com'].map((text) => redactor.redact(text, CONTEXT) as Redaction<string>);
    expect([first!.value, second!.value, first!.rehydrate('[[EMAIL_1]]'), second!.rehydrate('[[EMAIL_1]]')]).toEqual(['[[EMAIL_1]]', '[[EMAIL_1]]', 'a@x.com', 'b@x.com']);
  });

  it('gives the same value where nothing is found', () => {
    const given = { a: ['b', 5] };
    expect(redact(given)).toMatchObject({ found: [] });
    expect(redact(given).value).toBe(given);
  });

  it('keeps literal what a user typed, and only where there is a way back', () => {
    const text = 'print [[EMAIL_1]] and [email_1], mine is a@x.com';
    const { value, rehydrate } = redact(text);
    expect(value).toBe('print [[LITERAL_1]] and [[LITERAL_2]], mine is [[EMAIL_1]]');
    expect(rehydrate('[[LITERAL_1]] [[EMAIL_1]]')).toBe('[[EMAIL_1]] a@x.com');
    expect(redact(text, { reversible: false }).value).toBe('print [[EMAIL_1]] and [email_1], mine is [[EMAIL_1]]');
    expect(redact('print [[EMAIL_1]], no mail').value).toBe('print [[LITERAL_1]], no mail');
  });

  it('leaves the placeholders of a call around alone', () => {
    const { value, placeholders, rehydrate } = redact('[[EMAIL_1]] a@x.com', { reserved: new Set(['[[EMAIL_1]]']) });
    expect(value).toBe('[[EMAIL_1]] [[EMAIL_2]]');
    expect([...placeholders!]).toEqual(['[[EMAIL_1]]', '[[EMAIL_2]]']);
    expect(rehydrate('[[EMAIL_1]] [[EMAIL_2]]')).toBe('[[EMAIL_1]] a@x.com');
  });

  it('makes one of what overlaps, and leaves apart what touches', () => {
    const spans: PiiSpan[] = [{ start: 4, end: 6, type: 'B' }, { start: 0, end: 3, type: 'A' }, { start: 2, end: 4, type: 'EMAIL' }];
    expect(redact('abcdefgh', {}, detector(() => spans)).value).toBe('[[EMAIL_1]][[B_1]]gh');
    expect(spans).toHaveLength(3);
  });

  it('asks each detector for each text, with the way to it', () => {
    const asked: unknown[] = [];
    redact({ b: ['x'], a: 'y' }, { path: ['input'] }, detector((text, { path, direction }) => (asked.push([text, path, direction]), [])));
    expect(asked).toEqual([['y', ['input', 'a'], 'request'], ['x', ['input', 'b', 0], 'request']]);
  });

  it('tells from its id and version what it would find', () => {
    const [one, two, three] = [[detector(() => [])], [detector(() => [], 'two')], [detector(() => []), detector(() => [])]].map((detectors) => new DetectingRedactor(detectors));
    expect(new Set([one, two, three].map((redactor) => `${redactor!.id} ${redactor!.version}`)).size).toBe(3);
  });
});

describe('detectors that take their time', () => {
  it('find the same, numbered the same', async () => {
    const given = Array.from({ length: 40 }, (_, index) => `word ${index} a@x.com`);
    const later = detector(async (text) => finds('word')(text));
    const redacting = redactLater(given, {}, builtInDetector(), later);
    expect(redacting).toBeInstanceOf(Promise);
    const { value, found } = await redacting;
    expect(value).toEqual(given.map((_, index) => `[[WORD_1]] ${index} [[EMAIL_1]]`));
    expect(found).toHaveLength(80);
  });

  it('are asked sixteen at a time', async () => {
    let [running, most] = [0, 0];
    const slow = detector(async () => {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
      return [];
    });
    await redactLater(Array.from({ length: 100 }, (_, index) => `text ${index}`), {}, slow);
    expect(most).toBe(16);
  });

  it('are asked for no more once nobody waits', async () => {
    const [controller, first] = [new AbortController(), deferred<PiiSpan[]>()];
    let asked = 0;
    const redacting = redactLater(['a', 'b'], { signal: controller.signal }, detector(() => (asked++, first.promise)));
    controller.abort(new Error('over'));
    first.resolve([]);
    await expect(redacting).rejects.toThrow('over');
    expect(asked).toBe(1);
  });

  it('may reject beside one that throws: the process goes on', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    const throwing = detector(() => { throw new Error('at once'); });
    expect(() => redact('text', {}, detector(async () => { throw new Error('later'); }), throwing)).toThrow('at once');
    await new Promise(setImmediate);
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });
});

describe('detectors that give nonsense', () => {
  const nonsense: unknown[] = [
    undefined, null, 5, 'spans', {}, [5], [null], [{}], [{ start: 0, end: 1 }], [{ start: 0, end: 1, type: 'email' }], [{ start: 0, end: 1, type: '' }], [{ start: 0, end: 5, type: 'A' }],
    [{ start: -1, end: 1, type: 'A' }], [{ start: 1, end: 1, type: 'A' }], [{ start: 2, end: 1, type: 'A' }], [{ start: 0.5, end: 1, type: 'A' }], [{ start: Number.NaN, end: 1, type: 'A' }], [{ start: '0', end: 1, type: 'A' }],
    [{ start: 0, end: 1, type: 'A' }, { start: 0, end: 9, type: 'A' }],
  ];
  it.each(nonsense.map((given) => [given]))('fail: %j', async (given) => {
    expect(() => redact('text', {}, detector(() => given))).toThrow(/^a detector gave/);
    await expect(redactLater('text', {}, detector(async () => given))).rejects.toThrow(/^a detector gave/);
    expect(() => redact('text', {}, builtInDetector(), detector(() => given))).toThrow(/^a detector gave/);
  });
});
