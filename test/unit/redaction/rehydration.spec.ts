import { describe, expect, it } from '@jest/globals';
import { Placeholders } from '../../../lib/redaction/placeholders.js';
import { isJsonText, rehydrated, resolvesAll } from '../../../lib/redaction/rehydration.js';

const VALUE = 'a "quoted" \\ value\nof two lines';
const placeholders = new Placeholders();
placeholders.for('NOTE', VALUE);
placeholders.for('EMAIL', 'jane@x.com');

describe('an answer with the own values of its caller', () => {
  it.each([
    ['text', 'to [[EMAIL_1]]', 'to jane@x.com'],
    ['nested data', { a: [{ b: '[[NOTE_1]]' }], c: 5, d: null }, { a: [{ b: VALUE }], c: 5, d: null }],
    ['keys', { '[[EMAIL_1]]': '[email_1]' }, { 'jane@x.com': 'jane@x.com' }],
    ['a map and a set', [new Map([['[[EMAIL_1]]', '[[NOTE_1]]']]), new Set(['[[EMAIL_1]]'])], [new Map([['jane@x.com', VALUE]]), new Set(['jane@x.com'])]],
    ['what names things: models do not say such things there', { choices: [{ finish_reason: 'stop', message: { role: 'assistant', content: '[[NOTE_1]]' } }] }, { choices: [{ finish_reason: 'stop', message: { role: 'assistant', content: VALUE } }] }],
    ['text that begins like JSON', '{name} wrote [[NOTE_1]]', `{name} wrote ${VALUE}`],
    ['text that begins like a list', '["[[NOTE_1]]', `["${VALUE}`],
  ])('has them in %s', (_name, answer, wanted) => {
    expect(rehydrated(answer, placeholders)).toEqual(wanted);
  });

  it.each([
    ['the arguments of a tool', 'arguments', '{"to":"[[EMAIL_1]]","n":["[[NOTE_1]]"]}', { to: 'jane@x.com', n: [VALUE] }],
    ['the input of a tool', 'input', ' {"n":"[[NOTE_1]]"}', { n: VALUE }],
    ['content that is JSON', 'content', '{"n":"x [[NOTE_1]]"}', { n: `x ${VALUE}` }],
    ['content that is a list', 'content', ' [ "[[NOTE_1]]"]', [VALUE]],
    ['keys', 'arguments', '{"[[NOTE_1]]":1}', { [VALUE]: 1 }],
  ])('has them in JSON, which stays valid: %s', (_name, field, text, wanted) => {
    const answer = Object.freeze({ tool_calls: Object.freeze([Object.freeze({ function: Object.freeze({ [field]: text }) })]) });
    expect(JSON.parse(rehydrated(answer, placeholders).tool_calls[0]!.function[field] as string)).toEqual(wanted);
    expect(answer.tool_calls[0]!.function[field]).toBe(text);
  });

  it('escapes in arguments that were cut off', () => {
    expect(rehydrated({ arguments: '{"n":"[[NOTE_1]]' }, placeholders).arguments).toBe(`{"n":${JSON.stringify(VALUE).slice(0, -1)}`);
  });

  it('is the very answer where it holds none', () => {
    const answer = { choices: [{ message: { content: '[1] [[PHONE_1]]' } }] };
    expect(rehydrated(answer, placeholders)).toBe(answer);
  });

  it.each([[{ a: ['[[EMAIL_1]]'] }, true], [{ a: ['[[EMAIL_2]]'] }, false], [{ '[[EMAIL_2]]': 1 }, false], ['{"a":"[[PHONE_1]]"}', false], [undefined, true], [5, true]])('says whether all are known: %j %p', (answer, resolves) => {
    expect(resolvesAll(answer, placeholders)).toBe(resolves);
  });
});

it.each([['content', '{', true], ['content', ' [ {', true], ['content', '["', true], ['content', '[]', true], ['content', '[[', false], ['content', '[E', false], ['content', 'x', false], ['content', '[', undefined], ['content', ' ', undefined], ['content', '', undefined], ['arguments', '', true], ['partial_json', 'x', true]])(
  'a text in %s that begins with %j is JSON: %p',
  (field, begins, isJson) => expect(isJsonText(field, begins)).toBe(isJson),
);
