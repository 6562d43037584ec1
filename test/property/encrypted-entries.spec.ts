import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { EncryptedEntries } from '../../lib/stores/entry-format.js';
import type { Envelope } from '../../lib/stores/envelope.js';
import { encodeValue } from '../../lib/stores/value-codec.js';
import { text, value } from './arbitrary-values.js';

const entries = new EncryptedEntries({ current: 'a', keys: { a: randomBytes(32), b: randomBytes(32) } });

const scope = fc.oneof(text, fc.constantFrom<string | number | undefined>('a.b', 'a_b', '0', 0, '租户', undefined), fc.integer(), fc.string({ minLength: 1_000, maxLength: 1_100 }));
const wellFormed = fc.string({ unit: 'grapheme', maxLength: 40 });
const envelope: fc.Arbitrary<Envelope> = fc.record({
  key: wellFormed,
  createdAtMs: fc.nat(),
  expiresAtMs: fc.option(fc.nat()),
  versions: fc.array(fc.tuple(text, text), { maxLength: 2 }),
  latencyMs: fc.nat(),
  model: text,
  payload: fc.oneof(wellFormed, value.map((given) => encodeValue(given, { flatten: false }))),
});

describe('encrypted entries, for any answer, key and scope', () => {
  it('open as they were sealed', () => {
    fc.assert(
      fc.property(envelope, scope, (each, of) => {
        expect(entries.open(entries.seal(each, of), each.key, of)).toEqual(each);
      }),
    );
  });

  it('never open in the place of another: swapped keys, swapped scopes, or both', () => {
    fc.assert(
      fc.property(envelope, envelope, scope, scope, (one, two, ofOne, ofTwo) => {
        fc.pre(one.key !== two.key || !Object.is(ofOne, ofTwo));
        expect(entries.open(entries.seal(one, ofOne), two.key, ofTwo)).toBe('damaged');
        expect(entries.open(entries.seal(two, ofTwo), one.key, ofOne)).toBe('damaged');
      }),
    );
  });

  const anyUnit = fc.oneof(fc.constantFrom('A', 'B', 'Q', '-', '_', '+', '/', '=', ' ', 'b', 'a', '1', '\n'), fc.nat(0xffff).map((code) => String.fromCharCode(code)));
  it.each<[what: string, change: (sealed: string, at: number, unit: string) => string]>([
    ['another character', (sealed, at, unit) => sealed.slice(0, at) + unit + sealed.slice(at + 1)],
    ['one missing', (sealed, at) => sealed.slice(0, at) + sealed.slice(at + 1)],
    ['one more', (sealed, at, unit) => sealed.slice(0, at) + unit + sealed.slice(at)],
    ['two swapped', (sealed, at) => sealed.slice(0, at) + (sealed[at + 1] ?? '') + sealed[at]! + sealed.slice(at + 2)],
    ['the rest missing', (sealed, at) => sealed.slice(0, at)],
  ])('never open with %s', (_what, change) => {
    fc.assert(
      fc.property(envelope, scope, fc.nat(), anyUnit, (each, of, place, unit) => {
        const sealed = entries.seal(each, of);
        const changed = change(sealed, place % sealed.length, unit);
        fc.pre(changed !== sealed);
        expect(['damaged', 'unknown-key', 'unknown-format']).toContain(entries.open(changed, each.key, of));
      }),
      { numRuns: 300 },
    );
  });

  it('never open with any one character changed, nor any one bit', () => {
    // Three lengths, so that the last character of base64 has no, two and four bits too many.
    for (const payload of ['j1', 'j12', 'j123']) {
      const each = { key: 'llm1k.llm.a', createdAtMs: 1, expiresAtMs: null, versions: [], latencyMs: 1, payload };
      const sealed = entries.seal(each, 'acme');
      expect(entries.open(sealed, each.key, 'acme')).toEqual(each);
      for (let at = 0; at < sealed.length; at++) {
        for (const unit of ['A', 'B', 'Q', 'g', 'w', '-', '+', '=', ' ', '\n', '\ud800']) {
          if (sealed[at] === unit) continue;
          expect(entries.open(sealed.slice(0, at) + unit + sealed.slice(at + 1), each.key, 'acme')).toEqual(expect.any(String));
        }
      }
      const [head, body] = [sealed.slice(0, sealed.lastIndexOf(' ') + 1), Buffer.from(sealed.slice(sealed.lastIndexOf(' ') + 1), 'base64url')];
      for (let bit = 0; bit < body.length * 8; bit++) {
        const flipped = Buffer.from(body);
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        expect(entries.open(head + flipped.toString('base64url'), each.key, 'acme')).toBe('damaged');
      }
    }
  });

  it('take no arbitrary text for an answer, and throw at none', () => {
    fc.assert(
      fc.property(fc.oneof(text, text.map((rest) => `llm-cache/e1 ${rest}`), text.map((rest) => `llm-cache/e1 a ${rest}`), fc.base64String().map((rest) => `llm-cache/e1 a ${rest}`), value), scope, (stored, of) => {
        expect(entries.open(stored, 'llm1k.llm.a', of)).toEqual(expect.any(String));
      }),
    );
  });
});
