import { describe, expect, it } from '@jest/globals';
import { isPlaceholderType, LONGEST_PLACEHOLDER, Placeholders, PlaceholderStream } from '../../../lib/redaction/placeholders.js';

function filled(count = 1): Placeholders {
  const placeholders = new Placeholders();
  for (let index = 1; index <= count; index++) placeholders.for('EMAIL', `mail-${index}@x.com`);
  return placeholders;
}

describe('placeholders', () => {
  it('count by type, in the order of first appearance, and are the same for the same value', () => {
    const placeholders = new Placeholders();
    const given: Array<[string, string]> = [['EMAIL', 'a@x.com'], ['PHONE', '1'], ['EMAIL', 'A@x.com'], ['EMAIL', 'a@x.com'], ['IBAN', 'a@x.com']];
    expect(given.map(([type, value]) => placeholders.for(type, value))).toEqual(['[[EMAIL_1]]', '[[PHONE_1]]', '[[EMAIL_2]]', '[[EMAIL_1]]', '[[IBAN_1]]']);
    expect(placeholders.restore('[[EMAIL_1]] [[EMAIL_2]]', false)).toBe('a@x.com A@x.com');
  });

  it('leave out those that a call around has given', () => {
    const placeholders = new Placeholders(new Set(['[[EMAIL_1]]', '[[EMAIL_3]]']));
    expect([placeholders.for('EMAIL', 'a'), placeholders.for('EMAIL', 'b')]).toEqual(['[[EMAIL_2]]', '[[EMAIL_4]]']);
    expect([...placeholders.inUse].toSorted()).toEqual(['[[EMAIL_1]]', '[[EMAIL_2]]', '[[EMAIL_3]]', '[[EMAIL_4]]']);
    expect(placeholders.restore('[[EMAIL_1]] [[EMAIL_2]] [email_3]', false)).toBe('[[EMAIL_1]] a [email_3]');
    expect(placeholders.quote('[[EMAIL_1]]', new Set(['EMAIL']))).toBe('[[EMAIL_1]]');
    expect(placeholders.resolves('[[EMAIL_1]] [[EMAIL_4]]')).toBe(true);
  });

  it.each(['[[EMAIL_1]]', '[[email_1]]', '[[Email_1]]', '[[EMAIL\\_1]]', '[EMAIL_1]', '[[ EMAIL_1 ]]', '[EMAIL_1]]', '[[EMAIL_1]'])('come back as models write them: %s', (written) => {
    expect(filled().restore(`to ${written}!`, false)).toBe('to mail-1@x.com!');
    expect(filled().resolves(written)).toBe(true);
  });

  it.each(['[[EMAIL_2]]', '[[EMAIL_01]]', '[[EMAIL_11]]', '[[EMAIL_1', 'EMAIL_1', '(EMAIL_1)', '[[EMAIL]]', '[[E-MAIL_1]]', '[[  EMAIL_1]]', '[[PHONE_1]]', `[[${'A'.repeat(21)}_1]]`])('that nobody gave stay: %s', (written) => {
    expect(filled().restore(`to ${written}!`, false)).toBe(`to ${written}!`);
  });

  it.each([
    ['[[EMAIL_2]]', false], ['[[PHONE_9]]', false], ['[email_2]', false], ['[[EMAIL\\_2]]', false], ['[note_1]', true], ['[1] [x] [[a]]', true], ['[[EMAIL_1]] [email_1]', true], ['', true],
  ])('are known as such: %s %s', (text, resolves) => {
    expect(filled().resolves(text)).toBe(resolves);
  });

  it('are told from those that begin alike', () => {
    expect(filled(11).restore('[[EMAIL_1]] [[EMAIL_11]] [[EMAIL_1]][[EMAIL_11]] [[[EMAIL_1]]]', false)).toBe('mail-1@x.com mail-11@x.com mail-1@x.commail-11@x.com [mail-1@x.com]');
  });

  it('are put back in one pass', () => {
    const placeholders = new Placeholders();
    placeholders.for('A', '[[A_2]]');
    placeholders.for('A', '$& [[A_1]]');
    expect(placeholders.restore('[[A_1]] [[A_2]]', false)).toBe('[[A_2]] $& [[A_1]]');
  });

  it('hold values that JSON escapes, escaped in JSON', () => {
    const value = 'a "b" \\ \n \u2028 \ud800 c';
    const placeholders = new Placeholders();
    placeholders.for('A', value);
    expect(JSON.parse(placeholders.restore('{"a":"[[A_1]]"}', true))).toEqual({ a: value });
    expect(placeholders.restore('[[A_1]]', false)).toBe(value);
  });

  it('stand for text of the user that looks like one, exactly as it was', () => {
    const text = '[[EMAIL_1]] [email_1] [[EMAIL\\_1]] [[LITERAL_1]] [[PHONE_1]] [phone_1] [1] [note_2]';
    const placeholders = filled();
    const quoted = placeholders.quote(text, new Set(['EMAIL']));
    expect(quoted).toBe('[[LITERAL_1]] [[LITERAL_2]] [[LITERAL_3]] [[LITERAL_4]] [[LITERAL_5]] [phone_1] [1] [note_2]');
    expect(placeholders.restore(quoted, false)).toBe(text);
  });

  it.each([['EMAIL', true], ['A1_B', true], ['A'.repeat(20), true], ['A'.repeat(21), false], ['email', false], ['1A', false], ['_A', false], ['', false], ['A B', false], [undefined, false], [5, false]])('have a type: %p %p', (type, isOne) => {
    expect(isPlaceholderType(type)).toBe(isOne);
  });
});

describe('a text in pieces', () => {
  it.each(['a [[EMAIL_1]] b [[EMAIL_11]] [', '[[[EMAIL_1]]]]', '[email_1][[EMAIL\\_1]] [[ EMAIL_1 ]]', '[EMAIL_1]]', '[[EMAIL_1', 'x[[[[', '🙂[[EMAIL_1]]🙂', '[]', '[ ] [a', `[[${'A'.repeat(40)}_1]]`, `[[${'A\\_'.repeat(12)}A_1]]`])(
    'is the same as the whole, split at every two positions: %s',
    (text) => {
      const whole = filled(11).restore(text, false);
      for (let a = 0; a <= text.length; a++) {
        for (let b = a; b <= text.length; b++) {
          const stream = new PlaceholderStream(filled(11), false);
          expect([a, b, [text.slice(0, a), text.slice(a, b), text.slice(b)].map((piece) => stream.push(piece)).join('') + stream.end()]).toEqual([a, b, whole]);
        }
      }
    },
  );

  it('is held back no longer than a placeholder', () => {
    const stream = new PlaceholderStream(filled(), false);
    const text = `[[${'A'.repeat(500)}[[[[ [EMAIL_1`;
    let given = '';
    for (const [index, letter] of text.split('').entries()) {
      given += stream.push(letter);
      expect(index + 1 - given.length).toBeLessThanOrEqual(LONGEST_PLACEHOLDER);
    }
    expect(given + stream.end()).toBe(text);
    expect(stream.end()).toBe('');
  });

  it('takes linear time', () => {
    const text = '[[A_'.repeat(250_000);
    const startedAt = performance.now();
    filled().restore(text, false);
    filled().quote(text, new Set(['A']));
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });
});
