import { createDecipheriv, hash, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { canonicalForm } from '../../../lib/key/canonical-form.js';
import { EncryptedEntries, plainEntries } from '../../../lib/stores/entry-format.js';
import { openEnvelope, sealEnvelope, type Envelope } from '../../../lib/stores/envelope.js';

const bytes = (fill: number): Buffer => Buffer.alloc(32, fill);
const entries = new EncryptedEntries({ current: 'a', keys: { a: bytes(1), b: bytes(2) } });
const ENVELOPE: Envelope = {
  key: 'llm1k.llm.abc',
  createdAtMs: 1_700_000_000_000,
  expiresAtMs: null,
  versions: [['llm1k.llm.versions', 'v1']],
  latencyMs: 812.5,
  usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 },
  model: 'gpt-4o',
  finishReason: 'stop',
  payload: 'j"Tokyo."',
};
const sealed = entries.seal(ENVELOPE, 'acme');
const bodyOf = (text: string): Buffer => Buffer.from(text.slice(text.lastIndexOf(' ') + 1), 'base64url');
const withBody = (body: Buffer, name = 'a'): string => `llm-cache/e1 ${name} ${body.toString('base64url')}`;

describe('an encrypted entry', () => {
  it('opens for its own key and scope', () => {
    expect(entries.open(sealed, ENVELOPE.key, 'acme')).toEqual(ENVELOPE);
  });

  it('shows the name of its key, and nothing else', () => {
    expect(sealed).toMatch(/^llm-cache\/e1 a [\w-]+$/);
    for (const shown of [sealed, bodyOf(sealed).toString('latin1')]) {
      for (const content of ['Tokyo', 'gpt-4o', 'acme', 'abc', 'versions', '1700000000000', 'llm-cache/1']) expect(shown).not.toContain(content);
    }
    // IV, the envelope, tag: what it says of its content is its length
    expect(bodyOf(sealed)).toHaveLength(12 + Buffer.byteLength(sealEnvelope(ENVELOPE)) + 16);
  });

  it('is different each time: IVs are fresh', () => {
    const ivs = Array.from({ length: 1_000 }, () => bodyOf(entries.seal(ENVELOPE, 'acme')).subarray(0, 12).toString('hex'));
    expect(new Set(ivs).size).toBe(1_000);
  });

  it('is what the documentation says: AES-256-GCM under a key from HKDF-SHA256, bound to its place', () => {
    const info = `nestjs-llm-cache seal e1 ${hash('sha256', canonicalForm('acme'), 'base64url')}`;
    const key = new Uint8Array(hkdfSync('sha256', bytes(1), '', info, 32));
    const body = bodyOf(sealed);
    const decipher = createDecipheriv('aes-256-gcm', key, body.subarray(0, 12));
    decipher.setAAD(Buffer.from(canonicalForm(['llm-cache/e1', 'a', ENVELOPE.key, 'acme'])));
    decipher.setAuthTag(body.subarray(-16));
    const text = decipher.update(body.subarray(12, -16)).toString() + decipher.final().toString();
    expect(openEnvelope(text, ENVELOPE.key)).toEqual(ENVELOPE);
  });

  const scopes = ['acme', 'acme ', 'ACME', 'a.b', 'a_b', '0', 0, 1, '租户', '\ud800', '\ud801', '\ufffd', 'n'.repeat(10_000), 'n'.repeat(10_001), undefined, 'undefined'];
  it('opens for no other scope', () => {
    for (const of of scopes) {
      const text = entries.seal(ENVELOPE, of);
      for (const other of scopes) {
        expect([of, other, typeof entries.open(text, ENVELOPE.key, other)]).toEqual([of, other, other === of ? 'object' : 'string']);
      }
    }
  });

  it.each<[what: string, key: string]>([
    ['another key', 'llm1k.llm.abd'],
    ['the same key without a secret', 'llm1.llm.abc'],
    ['the same key of another namespace', 'llm1k.llm2.abc'],
    ['no key', ''],
  ])('does not open for %s', (_what, key) => {
    expect(entries.open(sealed, key, 'acme')).toBe('damaged');
  });

  it('written with an older key opens while the ring has it, and is written with the current one', () => {
    const rotated = new EncryptedEntries({ current: 'b', keys: { a: bytes(1), b: bytes(2) } });
    expect(rotated.open(sealed, ENVELOPE.key, 'acme')).toEqual(ENVELOPE);
    expect(rotated.seal(ENVELOPE, 'acme')).toMatch(/^llm-cache\/e1 b /);
    expect(entries.open(rotated.seal(ENVELOPE, 'acme'), ENVELOPE.key, 'acme')).toEqual(ENVELOPE);
    expect(new EncryptedEntries({ current: 'b', keys: { b: bytes(2) } }).open(sealed, ENVELOPE.key, 'acme')).toBe('unknown-key');
  });

  it('does not open with other bytes under the name of its key, nor under another name of its bytes', () => {
    expect(new EncryptedEntries({ current: 'a', keys: { a: bytes(2) } }).open(sealed, ENVELOPE.key, 'acme')).toBe('damaged');
    const twins = new EncryptedEntries({ current: 'a', keys: { a: bytes(1), twin: bytes(1) } });
    expect(twins.open(withBody(bodyOf(sealed), 'twin'), ENVELOPE.key, 'acme')).toBe('damaged');
  });

  it.each<[form: string, key: string]>([
    ['base64', bytes(0xfb).toString('base64')],
    ['base64url', bytes(0xfb).toString('base64url')],
  ])('takes a key in %s for its bytes', (_form, key) => {
    const given = new EncryptedEntries({ current: 'a', keys: { a: key } });
    expect(given.open(new EncryptedEntries({ current: 'a', keys: { a: bytes(0xfb) } }).seal(ENVELOPE, 1), ENVELOPE.key, 1)).toEqual(ENVELOPE);
  });

  it('names of keys are names: none is found that was not given', () => {
    for (const name of ['toString', '__proto__', 'constructor', '', 'c']) expect(entries.open(withBody(bodyOf(sealed), name), ENVELOPE.key, 'acme')).toBe('unknown-key');
    const odd = new EncryptedEntries({ current: '__proto__', keys: JSON.parse(`{"__proto__":"${bytes(3).toString('base64')}"}`) as Record<string, string> });
    expect(odd.open(odd.seal(ENVELOPE, 1), ENVELOPE.key, 1)).toEqual(ENVELOPE);
  });

  it.each<[what: string, change: (body: Buffer) => Buffer]>([
    ['nothing', () => Buffer.alloc(0)],
    ['an IV alone', (body) => body.subarray(0, 12)],
    ['an IV and a tag of another', (body) => Buffer.concat([body.subarray(0, 12), body.subarray(-16)])],
    ['a tag cut to 4 bytes', (body) => body.subarray(0, -12)],
    ['one byte more', (body) => Buffer.concat([body, Buffer.alloc(1)])],
    ['zeros', (body) => Buffer.alloc(body.length)],
  ])('that is %s is damaged', (_what, change) => {
    expect(entries.open(withBody(change(bodyOf(sealed))), ENVELOPE.key, 'acme')).toBe('damaged');
  });

  it.each<[what: string, stored: unknown, problem: string]>([
    ['a plain entry', sealEnvelope(ENVELOPE), 'not-encrypted'],
    ['a plain entry of another key', sealEnvelope({ ...ENVELOPE, key: 'other' }), 'swapped'],
    ['a damaged plain entry', `${sealEnvelope(ENVELOPE)} `, 'damaged'],
    ['text of somebody else', 'hello', 'unknown-format'],
    ['a later format', sealed.replace('e1', 'e2'), 'unknown-format'],
    ['a format whose number starts alike', sealed.replace('e1', 'e10'), 'unknown-format'],
    ['only the format', 'llm-cache/e1 ', 'unknown-key'],
    ['only the format and a name', 'llm-cache/e1 a', 'unknown-key'],
    ['no body', 'llm-cache/e1 a ', 'damaged'],
    ['a body in base64 with padding', sealed.padEnd(sealed.length + 1, '='), 'damaged'],
    ['a body with a newline', `${sealed}\n`, 'damaged'],
    ['undefined', undefined, 'unknown-format'],
    ['bytes', Buffer.from(sealed), 'unknown-format'],
  ])('is not what %s is', (_what, stored, problem) => {
    expect(entries.open(stored, ENVELOPE.key, 'acme')).toBe(problem);
  });

  it('shows no key to who prints what seals it', () => {
    const key = bytes(0xfb).toString('base64');
    const shown = inspect(new EncryptedEntries({ current: 'a', keys: { a: key, b: bytes(0xfb) } }), { depth: Infinity, showHidden: true });
    for (const secret of [key, 'fb fb', '251, 251']) expect(shown).not.toContain(secret);
  });
});

describe('without encryption', () => {
  it('an entry is its envelope', () => {
    expect(plainEntries.seal(ENVELOPE, 'acme')).toBe(sealEnvelope(ENVELOPE));
    expect(plainEntries.open(sealEnvelope(ENVELOPE), ENVELOPE.key, 'acme')).toEqual(ENVELOPE);
  });

  it('an encrypted one is not opened', () => {
    expect(plainEntries.open(sealed, ENVELOPE.key, 'acme')).toBe('unknown-key');
  });
});

describe('golden encrypted entry: what a release has written, every later one reads or misses', () => {
  const golden = readFileSync(new URL('../../fixtures/golden/entry-e1.txt', import.meta.url), 'utf8');
  const key = 'llm1k.llm.Zm9yLXRoZS1nb2xkZW4tZmlsZS1vZi1mb3JtYXQtZTE';

  it('of format e1 opens', () => {
    expect(new EncryptedEntries({ current: 'later', keys: { later: bytes(9), '2026-01': bytes(1) } }).open(golden, key, '租户 1')).toEqual({
      key,
      createdAtMs: 1_700_000_000_000,
      expiresAtMs: 1_700_086_400_000,
      versions: [['llm1k.llm.versions', 'AAAAAAAAAAAA']],
      latencyMs: 812.25,
      usage: { inputTokens: 12, outputTokens: 30, totalTokens: 42 },
      model: 'gpt-4o-2024-08-06',
      finishReason: 'stop',
      payload: 'j"Tōkyō 東京 🗼"',
    });
  });
});
