import { describe, expect, it } from '@jest/globals';
import { differences } from '../../../lib/key/explain.js';
import { keyOf, type KeyDocument } from '../../../lib/key/key.js';
import { PLAIN_DOCUMENT } from '../../fixtures/key-document.js';

const DOCUMENT: KeyDocument = {
  ...PLAIN_DOCUMENT,
  model: { model: 'gpt-4o', temperature: 0 },
  input: [{ messages: [{ role: 'user', content: 'x' }] }],
};

describe('explain', () => {
  it.each<[shown: string[], a: Partial<KeyDocument>, b: Partial<KeyDocument>]>([
    [[], {}, {}],
    [['value model.temperature'], {}, { model: { model: 'gpt-4o', temperature: 1 } }],
    [['removed model.temperature'], {}, { model: { model: 'gpt-4o' } }],
    [['added model.seed'], {}, { model: { model: 'gpt-4o', temperature: 0, seed: 1 } }],
    [['type model.temperature'], {}, { model: { model: 'gpt-4o', temperature: '0' as never } }],
    [['value input[0].messages[0].content'], {}, { input: [{ messages: [{ role: 'user', content: 'y' }] }] }],
    [['added input[0].messages[1]'], {}, { input: [{ messages: [{ role: 'user', content: 'x' }, 1] }] }],
    [['removed input[0].messages[0].content'], {}, { input: [{ messages: [{ role: 'user' }] }] }],
    [['type input[0].messages'], {}, { input: [{ messages: { 0: { role: 'user', content: 'x' } } }] }],
    [['type input[0].messages[0].content'], {}, { input: [{ messages: [{ role: 'user', content: null }] }] }],
    [['value input.when'], { input: { when: new Date(0) } }, { input: { when: new Date(1) } }],
    [['type input.when'], { input: { when: new Date(0) } }, { input: { when: 0 } }],
    [['type input.n'], { input: { n: 1 } }, { input: { n: 1n } }],
    [['value input.m'], { input: { m: new Map([[1, 2]]) } }, { input: { m: new Map([[1, 3]]) } }],
    [['type input.m'], { input: { m: new Map() } }, { input: { m: {} } }],
    [['value namespace'], {}, { namespace: 'other' }],
    [['value name'], {}, { name: 'A.n' }],
    [['added scope'], {}, { scope: 0 }],
    [['added provider'], {}, { provider: 'openai:https://a.test/v1' }],
    [['type scope'], { scope: 0 }, { scope: '0' }],
    [['added version[0]'], {}, { versions: [1, undefined] }],
    [['added version[1]'], {}, { versions: [undefined, 1] }],
    [['added sample'], {}, { sample: 1 }],
    [['added scope', 'value name', 'value model.temperature'], {}, { name: 'B', scope: 's', model: { model: 'gpt-4o', temperature: 1 } }],
    [[], { input: { a: undefined, b: -0 } }, { input: { b: 0 } }],
  ])('says %j', (shown, a, b) => {
    const [first, second] = [{ ...DOCUMENT, ...a }, { ...DOCUMENT, ...b }];
    expect(differences(first, second).map(({ kind, path }) => `${kind} ${path}`)).toEqual(shown);
    expect(keyOf(first) === keyOf(second)).toBe(shown.length === 0);
  });

  it('shows paths and kinds, no content', () => {
    const a = { ...DOCUMENT, input: { 'bob@example.com': 'a secret', field: 'another' } };
    const told = JSON.stringify(differences(a, { ...DOCUMENT, input: { field: 'third' } }));
    expect(told).not.toMatch(/bob|secret|another|third/);
    expect(told).toContain('input.field');
  });
});
