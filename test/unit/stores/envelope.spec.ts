import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { type Envelope, openEnvelope, sealEnvelope } from '../../../lib/stores/envelope.js';
import { decodeValue } from '../../../lib/stores/value-codec.js';
import { same } from '../../fixtures/values.js';

const ENVELOPE: Envelope = {
  key: 'llm1.llm.abc',
  createdAtMs: 1_700_000_000_000,
  expiresAtMs: 1_700_086_400_000,
  versions: [['llm1.llm.versions', 'v1']],
  latencyMs: 812.5,
  usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 },
  model: 'gpt-4o',
  finishReason: 'stop',
  payload: 'j"Tokyo."',
};

describe('envelope', () => {
  it('opens as it was sealed, for its own key', () => {
    expect(openEnvelope(sealEnvelope(ENVELOPE), ENVELOPE.key)).toEqual(ENVELOPE);
  });

  it.each<[title: string, parts: Partial<Envelope>]>([
    ['no expiry', { expiresAtMs: null }],
    ['nothing known of the model', { usage: undefined, model: undefined, finishReason: undefined }],
    ['an empty payload', { payload: '' }],
    ['a payload of lines', { payload: 'j"a"\n\n{"key":"other"}\n' }],
    ['a payload that is an envelope', { payload: sealEnvelope(ENVELOPE) }],
    ['text beyond ASCII', { payload: 'j"名 🦜 \u2028"', model: 'modèle\ud800' }],
    ['no versions', { versions: [] }],
  ])('keeps %s', (_title, parts) => {
    const envelope = { ...ENVELOPE, ...parts };
    expect(openEnvelope(sealEnvelope(envelope), ENVELOPE.key)).toEqual(envelope);
  });

  it('is not opened for another key', () => {
    expect(openEnvelope(sealEnvelope(ENVELOPE), 'llm1.llm.abd')).toBe('swapped');
    expect(openEnvelope(sealEnvelope(ENVELOPE), '')).toBe('swapped');
  });

  it.each<[what: string, stored: unknown]>([
    ['nothing', ''],
    ['text of somebody else', '{"value":"x","expires":1}'],
    ['an older format', sealEnvelope(ENVELOPE).replace('llm-cache/1 ', 'llm-cache/0 ')],
    ['a newer format', sealEnvelope(ENVELOPE).replace('llm-cache/1 ', 'llm-cache/2 ')],
    ['a format whose number starts alike', sealEnvelope(ENVELOPE).replace('llm-cache/1 ', 'llm-cache/10 ')],
    ['undefined', undefined],
    ['null', null],
    ['a number', 1],
    ['an object', { ...ENVELOPE }],
    ['bytes', Buffer.from(sealEnvelope(ENVELOPE))],
  ])('does not take %s for one of its own', (_what, stored) => {
    expect(openEnvelope(stored, ENVELOPE.key)).toBe('unknown-format');
  });

  const sealed = sealEnvelope(ENVELOPE);
  const long = sealEnvelope({ ...ENVELOPE, payload: `j"${'\ufffd中'.repeat(5_000)}"` });
  it.each<[what: string, text: string]>([
    ['cut off after the format', 'llm-cache/1 '],
    ['cut off in the checksum', sealed.slice(0, 20)],
    ['cut off after the checksum', sealed.slice(0, 35)],
    ['cut off in the header', sealed.slice(0, 60)],
    ['cut off before the payload', sealed.slice(0, sealed.lastIndexOf('\n'))],
    ['cut off at the last character', sealed.slice(0, -1)],
    ['longer by a newline', `${sealed}\n`],
    ['of another answer', sealed.replace('Tokyo', 'Kyoto')],
    ['of another key', sealed.replaceAll('abc', 'abd')],
    ['with a later expiry', sealed.replace('1700086400000', '1800086400000')],
    ['with another version', sealed.replace('"v1"', '"v2"')],
    ['with carriage returns', sealed.replaceAll('\n', '\r\n')],
    ['long, with a lone surrogate that UTF-8 turns into what was there', long.replace('\ufffd', '\ud800')],
    ['with the checksum of another', sealed.slice(0, 12) + sealEnvelope({ ...ENVELOPE, payload: 'j1' }).slice(12, 34) + sealed.slice(34)],
  ])('says damaged when it is %s', (_what, text) => {
    expect(openEnvelope(text, ENVELOPE.key)).toBe('damaged');
    expect(openEnvelope(text, 'llm1.llm.abd')).toBe('damaged');
  });

  it('says damaged when a whole half is missing or doubled', () => {
    const half = Math.floor(sealed.length / 2);
    for (const text of [sealed.slice(half), sealed.slice(0, half), sealed + sealed, sealed.slice(0, half) + sealed]) {
      expect(['damaged', 'unknown-format']).toContain(openEnvelope(text, ENVELOPE.key));
    }
  });
});

describe('golden envelope: what a release has written, every later one reads or misses', () => {
  const golden = readFileSync(new URL('../../fixtures/golden/envelope-1.txt', import.meta.url), 'utf8');

  it('of format 1 opens', () => {
    const opened = openEnvelope(golden, 'llm1.llm.Zm9yLXRoZS1nb2xkZW4tZmlsZS1vZi1mb3JtYXQtMQ');
    expect(opened).toEqual({
      key: 'llm1.llm.Zm9yLXRoZS1nb2xkZW4tZmlsZS1vZi1mb3JtYXQtMQ',
      createdAtMs: 1_700_000_000_000,
      expiresAtMs: 1_700_086_400_000,
      versions: [
        ['llm1.llm.versions', 'AAAAAAAAAAAA'],
        ['llm1.llm.versions.c29tZS1ncm91cA', 'BBBBBBBBBBBB'],
      ],
      latencyMs: 812.25,
      usage: { inputTokens: 12, outputTokens: 30, totalTokens: 42 },
      model: 'gpt-4o-2024-08-06',
      finishReason: 'stop',
      payload: expect.any(String),
    });
  });

  it('of format 1 holds every type of value', () => {
    const opened = openEnvelope(golden, 'llm1.llm.Zm9yLXRoZS1nb2xkZW4tZmlsZS1vZi1mb3JtYXQtMQ') as Envelope;
    const value = decodeValue(opened.payload) as Record<string, unknown>;
    const expected = {
      text: 'Tōkyō 東京 🗼',
      lone: '\ud800',
      numbers: [0, -0, 1.5, 1e21, Number.NaN, Infinity, -Infinity],
      bigint: 12345678901234567890n,
      nothing: [null, undefined, true, false],
      absent: undefined,
      // oxlint-disable-next-line no-sparse-arrays -- a hole is what is tested
      hole: [, 1],
      date: new Date(0),
      invalidDate: new Date(Number.NaN),
      map: new Map<unknown, unknown>([['a', new Set([1, 'b'])]]),
      regexp: /^a\/b$/giu,
      url: new URL('https://example.com/?q=1'),
      buffer: Buffer.from([0, 127, 255]),
      floats: Float32Array.of(1.5, -2),
      arrayBuffer: Uint8Array.of(1, 2).buffer,
      bare: Object.assign(Object.create(null) as object, { a: 1 }),
      tagLike: { $: ['date', 1] },
      proto: JSON.parse('{"__proto__":{"a":1}}') as object,
    };
    expect(Object.keys(value)).toEqual(Object.keys(expected));
    for (const [name, field] of Object.entries(expected)) {
      expect([name, same(value[name], field)]).toEqual([name, true]);
    }
  });

  it('is missed for another key, and when it is damaged', () => {
    expect(openEnvelope(golden, 'llm1.llm.other')).toBe('swapped');
    expect(openEnvelope(golden.replace('12,', '13,'), 'llm1.llm.other')).toBe('damaged');
  });
});
