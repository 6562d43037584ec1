import type { PiiSpan } from '../../core/pii.js';

const BEGIN = /-----BEGIN (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?-----/g;
const END = /-----END [A-Z0-9 ]{0,60}-----/y;

/** The longest key that is taken to have an end, in code units: that of 16,384 bits is shorter. */
const LONGEST = 16_384;
/** Lines of base64, of headers, and of JSON that writes line breaks as `\n`. */
const BODY = /(?:[A-Za-z0-9+/=:, ]{1,128}(?:\r?\n|\\n|\\r\\n|$)|\r?\n|\\n|\\r\\n){0,400}/y;

/** PEM blocks of private keys with their first and last lines. One that was cut off goes as far as its lines look like a key. */
export function* privateKeys(text: string): Generator<PiiSpan> {
  let nextEnd = -1;
  let coveredTo = 0;
  for (const { 0: first, index } of text.includes('-----BEGIN') ? text.matchAll(BEGIN) : []) {
    if (index < coveredTo) continue;
    const body = index + first.length;
    // Looked for once per end line, not once per begin line.
    if (nextEnd < body && nextEnd !== Infinity) {
      const place = text.indexOf('-----END', body);
      nextEnd = place === -1 ? Infinity : place;
    }
    coveredTo = nextEnd - body <= LONGEST ? endOf(END, text, nextEnd) : endOf(BODY, text, body);
    yield { start: index, end: coveredTo, type: 'SECRET' };
  }
}

function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return at + (pattern.exec(text)?.[0].length ?? 0);
}
