import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { type Envelope, openEnvelope, sealEnvelope } from '../../lib/stores/envelope.js';
import { encodeValue } from '../../lib/stores/value-codec.js';
import { text, value } from './arbitrary-values.js';

// A replacement character cannot be told from a lone surrogate by a checksum of UTF-8; see test/BUGS-envelope.txt.
const envelope: fc.Arbitrary<Envelope> = fc
  .record({
    key: fc.constantFrom('llm1.llm.a', 'llm1.llm.b'),
    createdAtMs: fc.nat(),
    expiresAtMs: fc.option(fc.nat()),
    versions: fc.array(fc.tuple(text, text), { maxLength: 2 }),
    latencyMs: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }).map((ms) => ms + 0),
    model: text,
    payload: value.map((given) => encodeValue(given, { flatten: false })),
  })
  .filter((each) => !JSON.stringify(each).includes('\ufffd'));

describe('envelope, for any answer', () => {
  it('opens as it was sealed, for its own key and no other', () => {
    fc.assert(
      fc.property(envelope, (each) => {
        const sealed = sealEnvelope(each);
        expect(openEnvelope(sealed, each.key)).toEqual(each);
        expect(openEnvelope(sealed, `${each.key}x`)).toBe('swapped');
      }),
    );
  });

  const UNOPENED = ['damaged', 'unknown-format'];
  const changes: ReadonlyArray<readonly [what: string, change: (sealed: string, at: number, unit: string) => string]> = [
    ['another in its place', (sealed, at, unit) => sealed.slice(0, at) + unit + sealed.slice(at + 1)],
    ['one missing', (sealed, at) => sealed.slice(0, at) + sealed.slice(at + 1)],
    ['one more', (sealed, at, unit) => sealed.slice(0, at) + unit + sealed.slice(at)],
    ['two swapped', (sealed, at) => sealed.slice(0, at) + (sealed[at + 1] ?? '') + sealed[at]! + sealed.slice(at + 2)],
    ['the rest missing', (sealed, at) => sealed.slice(0, at)],
  ];

  it.each(changes)('is never opened with %s', (_what, change) => {
    const anyUnit = fc.oneof(fc.constantFrom('0', '1', '"', '}', '\n', ' ', 'a'), fc.nat(0xffff).map((code) => String.fromCharCode(code)));
    fc.assert(
      fc.property(envelope, fc.nat(), anyUnit, (each, place, unit) => {
        const sealed = sealEnvelope(each);
        const changed = change(sealed, place % sealed.length, unit);
        fc.pre(changed !== sealed);
        expect(UNOPENED).toContain(openEnvelope(changed, each.key));
      }),
      { numRuns: 300 },
    );
  });

  it('is never opened with any one character changed', () => {
    const sealed = sealEnvelope({
      key: 'llm1.llm.a',
      createdAtMs: 1_700_000_000_000,
      expiresAtMs: 1_700_000_060_000,
      versions: [['g', 'v']],
      latencyMs: 812,
      payload: 'j"Tokyo."',
    });
    for (let at = 0; at < sealed.length; at++) {
      for (const unit of ['0', 'z', '\n', '"', '\ud800', '\ufffd']) {
        if (sealed[at] === unit) continue;
        expect(UNOPENED).toContain(openEnvelope(sealed.slice(0, at) + unit + sealed.slice(at + 1), 'llm1.llm.a'));
      }
    }
  });

  it('takes no arbitrary text for an answer', () => {
    fc.assert(
      fc.property(fc.oneof(text, text.map((rest) => `llm-cache/1 ${rest}`), value), (stored) => {
        expect(UNOPENED).toContain(openEnvelope(stored, 'llm1.llm.a'));
      }),
    );
  });
});
