import { createHmac, hash, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { canonicalForm } from '../../../lib/key/canonical-form.js';
import { DerivedKeys } from '../../../lib/key/derived-keys.js';
import { groupOf, groupsOf, namespaceGroup } from '../../../lib/key/groups.js';
import { keyOf, type KeyDocument } from '../../../lib/key/key.js';
import { Secret } from '../../../lib/key/secret.js';
import { PLAIN_DOCUMENT as DOCUMENT } from '../../fixtures/key-document.js';
import { valueOf } from '../../fixtures/values.js';

const SECRET = 'a secret of at least 32 bytes, such as this';
const secret = new Secret(SECRET);
const OTHER = new Secret(`${SECRET}!`);

interface Vectors {
  secret: string;
  entries: Array<{ title: string; document: unknown; key: string }>;
  groups: Array<{ namespace: string; kind: 'name' | 'scope' | 'tag' | 'namespace'; value: string | number; group: string }>;
}
const vectors = JSON.parse(readFileSync(new URL('../../fixtures/keyed-key-vectors.json', import.meta.url), 'utf8')) as Vectors;

describe('keyed key vectors: a change makes every stored answer of an app with a secret unreachable', () => {
  const keyed = new Secret(vectors.secret);

  it.each(vectors.entries)('$title', ({ document, key }) => {
    expect(keyOf({ ...DOCUMENT, ...(valueOf(document) as Partial<KeyDocument>) }, keyed)).toBe(key);
  });

  it.each(vectors.groups)('group $kind $value in $namespace', ({ namespace, kind, value, group }) => {
    expect(kind === 'namespace' ? namespaceGroup(namespace, keyed) : groupOf(namespace, kind, value, keyed)).toBe(group);
  });

  it('are what the documentation says: HMAC-SHA256 under a key from HKDF-SHA256', () => {
    const derived = (purpose: string, place: string): Uint8Array =>
      new Uint8Array(hkdfSync('sha256', SECRET, '', `nestjs-llm-cache ${purpose} ${hash('sha256', place, 'base64url')}`, 32));
    const hmac = (key: Uint8Array, content: string): string => createHmac('sha256', key).update(content).digest('base64url');
    const { namespace, scope, name, provider, model, input } = { ...DOCUMENT, scope: 'acme' };
    const content = [namespace, name, scope, provider, undefined, undefined, undefined, model, input].map((part) => canonicalForm(part)).join('');
    expect(keyOf({ ...DOCUMENT, scope }, secret)).toBe(`llm1k.llm.${hmac(derived('entry llm1k', 's3:llms4:acme'), content)}`);
    expect(groupOf('llm', 'tag', 't', secret)).toBe(`llm1k.llm.versions.${hmac(derived('group llm1k', 's3:llm'), 'tag string t')}`);
  });
});

describe('a keyed key', () => {
  it('says so, and is never a plain one', () => {
    expect(keyOf(DOCUMENT, secret)).toMatch(/^llm1k\.llm\.[\w-]{43}$/);
    expect(keyOf(DOCUMENT, secret).slice(-43)).not.toBe(keyOf(DOCUMENT).slice(-43));
  });

  it('differs with the secret, however it is given', () => {
    expect(keyOf(DOCUMENT, OTHER)).not.toBe(keyOf(DOCUMENT, secret));
    expect(keyOf(DOCUMENT, new Secret(Buffer.from(SECRET)))).toBe(keyOf(DOCUMENT, secret));
    expect(keyOf(DOCUMENT, new Secret(new Uint8Array(Buffer.from(SECRET))))).toBe(keyOf(DOCUMENT, secret));
  });

  it('is made with a copy of the bytes', () => {
    const bytes = Buffer.from(SECRET);
    const given = new Secret(bytes);
    bytes.fill(0);
    expect(keyOf({ ...DOCUMENT, scope: 'first derived afterwards' }, given)).toBe(keyOf({ ...DOCUMENT, scope: 'first derived afterwards' }, secret));
  });

  const names = ['a.b', 'a_b', 'a', 'b', '0', 0, 1, '1', -0.5, '租户', '租戶', ' ', 'a ', '\0', '\ud800', '\ud801', '\ufffd', 'é', 'e\u0301', 'A', 'n'.repeat(10_000), 'n'.repeat(10_001), 's1:a', undefined];

  it('tells scopes, namespaces and what flows from one into the other apart', () => {
    const keys = names.flatMap((name) => [
      keyOf({ ...DOCUMENT, scope: name }, secret),
      keyOf({ ...DOCUMENT, namespace: `n${String(name)}${typeof name}` }, secret),
    ]);
    const flowing = [['ab', 'c'], ['a', 'bc'], ['', 'abc']].map(([namespace, scope]) => keyOf({ ...DOCUMENT, namespace: namespace!, scope }, secret));
    expect(new Set([...keys, ...flowing]).size).toBe(2 * names.length + 3);
  });

  it('is derived for its scope: equal content of two scopes is keyed apart', () => {
    const digests = names.map((name) => secret.digest('entry', canonicalForm('llm') + canonicalForm(name), 'the same content'));
    expect(new Set(digests).size).toBe(names.length);
  });

  it('stays the same when a thousand other tenants came between', () => {
    const first = keyOf({ ...DOCUMENT, scope: 'first' }, secret);
    for (let tenant = 0; tenant < 2_100; tenant++) keyOf({ ...DOCUMENT, scope: tenant }, secret);
    expect(keyOf({ ...DOCUMENT, scope: 'first' }, secret)).toBe(first);
  });
});

describe('groups with a secret', () => {
  it('are named by it: namespace, name, scope and tags', () => {
    const document = { ...DOCUMENT, scope: 'acme' };
    const plain = [...groupsOf(document, undefined), groupOf('llm', 'tag', 't', undefined)];
    const keyed = [...groupsOf(document, secret), groupOf('llm', 'tag', 't', secret)];
    const other = [...groupsOf(document, OTHER), groupOf('llm', 'tag', 't', OTHER)];
    expect(new Set([...plain, ...keyed, ...other]).size).toBe(12);
    for (const group of keyed) expect(group).toMatch(/^llm1k\.llm\.versions\.[\w-]{43}$/);
    for (const group of plain.slice(1)) expect(keyed.join()).not.toContain(group.slice(-43));
  });

  it('differ by kind, type and namespace', () => {
    const groups = (['name', 'scope', 'tag'] as const).flatMap((kind) => ['1', 1, 'namespace'].flatMap((value) => ['a', 'b'].map((namespace) => groupOf(namespace, kind, value, secret))));
    expect(new Set([...groups, namespaceGroup('a', secret), namespaceGroup('b', secret)]).size).toBe(20);
  });

  it('without one they are as ever', () => {
    expect(groupsOf(DOCUMENT, undefined)[0]).toBe('llm1.llm.versions');
    expect(groupOf('llm', 'tag', 't', undefined)).toBe(`llm1.llm.versions.${hash('sha256', 'tag string t', 'base64url')}`);
  });
});

describe('derived keys', () => {
  const bytes = Buffer.alloc(32, 7);
  const exported = (purpose: string, place: string): string => new DerivedKeys(bytes, purpose).of(place).export().toString('hex');

  it('differ by purpose and by place, and are made again alike', () => {
    const keys = ['a', 'b'].flatMap((purpose) => ['', 'a', 'b', 'p'.repeat(501), 'p'.repeat(2_000_000)].map((place) => exported(purpose, place)));
    expect(new Set(keys).size).toBe(10);
    expect(exported('a', 'a')).toBe(keys[1]);
    expect(keys[0]).toHaveLength(64);
  });

  it('are kept, but not without end and not for long names', () => {
    const keys = new DerivedKeys(bytes, 'a');
    const [first, long] = [keys.of('first'), keys.of('l'.repeat(501))];
    expect(keys.of('first')).toBe(first);
    expect(keys.of('l'.repeat(501))).not.toBe(long);
    for (let place = 0; place < 1_000; place++) keys.of(String(place));
    expect(keys.of('999')).toBe(keys.of('999'));
    expect(keys.of('first')).not.toBe(first);
    expect(keys.of('first').equals(first)).toBe(true);
  });

  it('show themselves to nobody who prints what holds them', () => {
    const shown = inspect([secret, new DerivedKeys(bytes, 'a')], { depth: Infinity, showHidden: true }) + JSON.stringify([secret]);
    expect(shown).not.toContain(SECRET);
    expect(shown).not.toContain('07 07');
    expect(shown).not.toContain(Buffer.from(SECRET).toString('hex').slice(0, 8));
  });
});
