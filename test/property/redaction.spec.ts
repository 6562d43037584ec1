import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import type { PiiContext, Redaction } from '../../lib/core/pii.js';
import { canonicalForm } from '../../lib/key/canonical-form.js';
import { DetectingRedactor } from '../../lib/redaction/detecting-redactor.js';
import { builtInDetector } from '../../lib/redaction/detectors/built-in-detectors.js';
import { TextLeaves } from '../../lib/redaction/text-leaves.js';
import { objectOf, reordered } from './arbitrary-values.js';

const CONTEXT: PiiContext = { path: [], direction: 'request', reversible: true };
const redactor = new DetectingRedactor([builtInDetector(), { id: 'quotes', version: '1', detect: (text) => [...text.matchAll(/<[^<>]*>/g)].map(([match], place, all) => ({ start: all[place]!.index, end: all[place]!.index + match.length, type: 'QUOTE' })) }]);
const redact = <T>(value: T): Redaction<T> => redactor.redact(value, CONTEXT) as Redaction<T>;

const KNOWN = ['jane.doe@example.com', 'bob@example.org', '4111 1111 1111 1111', '378282246310005', 'DE89 3704 0044 0532 0130 00', '078-05-1120', '<a "b" \\ \n>'];
const PLACEHOLDERS = ['[[EMAIL_1]]', '[[EMAIL_2]]', '[[EMAIL_11]]', '[[email_1]]', '[[EMAIL\\_1]]', '[EMAIL_1]', '[[ EMAIL_1 ]]', '[EMAIL_1]]', '[[LITERAL_1]]', '[literal_1]', '[[CREDIT_CARD_1]]', '[credit\\_card_1]', '[[QUOTE_1]]', '[[NOTE_1]]'];
const piece = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...KNOWN.map((value) => ` ${value} `)) },
  { weight: 3, arbitrary: fc.constantFrom(...PLACEHOLDERS) },
  { weight: 2, arbitrary: fc.constantFrom('[', ']', '[[', ']]', '_1', 'EMAIL', '\\', '\\_', '{"a":"', '"}', '["', ' ', '\n', '🙂', '\ud83d', '\ude00', 'é', '中', '1', '$&') },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 3 }) },
);
const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
/** Values that are surely found: digits beside digits may be others. */
const apart = fc.array(fc.constantFrom(...KNOWN.map((known) => `\n\nIt is ${known}\n\n`), ...PLACEHOLDERS, 'And so on.', '🙂', '\ud83d', '[', ']]'), { maxLength: 12 }).map((pieces) => pieces.join(''));
const field = fc.oneof(fc.constantFrom('a', 'b', 'content', 'text', 'input', '__proto__', 'constructor', 'key of jane@x.com', '[[EMAIL_1]]'), text);
const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    { weight: 4, arbitrary: text },
    fc.constantFrom<unknown>(5, null, true, undefined),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(field, tie('value')), { maxLength: 4 }).map((fields) => objectOf(fields)),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 2 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 2 }).map((members) => new Set(members)),
  ),
})).value;
const textsOf = (given: unknown): string[] => new TextLeaves(given, 'all').leaves.map((leaf) => leaf.text);

describe('redacting, on any text and value', () => {
  it('and putting back gives exactly what was', () => {
    fc.assert(
      fc.property(text, (given) => {
        const { value: redacted, rehydrateStream, resolves } = redact(given);
        const stream = rehydrateStream({ json: false });
        expect(stream.push(redacted) + stream.end()).toBe(given);
        expect(resolves!(redacted)).toBe(true);
      }),
      { numRuns: 1_500 },
    );
  });

  it('leaves nothing of what is found, whatever stands around it', () => {
    fc.assert(
      fc.property(apart, apart, (one, two) => {
        const { value: redacted } = redact({ one, list: [{ two }, new Map([[two, one]])], [one]: 1 });
        for (const known of KNOWN) expect(textsOf(redacted).some((leaf) => leaf.includes(known))).toBe(false);
      }),
      { numRuns: 800 },
    );
  });

  it('changes nothing of what it is given, and comes back the same but for JSON', () => {
    fc.assert(
      fc.property(value, (given) => {
        const [before, { value: redacted }] = [canonicalForm(given), redact(given)];
        redact(given).rehydrate(redacted);
        expect(canonicalForm(given)).toBe(before);
        if (textsOf(given).some((leaf) => /[{["]/.test(leaf.trimStart().slice(0, 1)))) return;
        expect(canonicalForm(redact(given).rehydrate(redacted))).toBe(before);
      }),
      { numRuns: 800 },
    );
  });

  it('gives the same for the same fields in another order', () => {
    fc.assert(
      fc.property(value, (given) => {
        expect(canonicalForm(redact(reordered(given)).value)).toBe(canonicalForm(redact(given).value));
      }),
      { numRuns: 800 },
    );
  });

  it('gives text in pieces what the whole has, wherever it is split', () => {
    fc.assert(
      fc.property(text, text, fc.array(fc.nat({ max: 400 }), { maxLength: 12 }), fc.boolean(), (question, answer, places, json) => {
        const redaction = redact(`${question} jane.doe@example.com <a "b">`);
        const said = redact(answer).value;
        const [whole, stream] = [redaction.rehydrateStream({ json }), redaction.rehydrateStream({ json })];
        const cuts = [0, ...places.map((place) => Math.min(place, said.length)).toSorted((a, b) => a - b), said.length];
        const pieces = cuts.slice(1).map((cut, index) => stream.push(said.slice(cuts[index], cut)));
        expect(pieces.join('') + stream.end()).toBe(whole.push(said) + whole.end());
      }),
      { numRuns: 1_500 },
    );
  });
});
