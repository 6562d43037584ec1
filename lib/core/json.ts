/**
 * `JSON.parse` that gets the names of fields right. V8 from 12.8 on, so that of Node 24 and 26, may take a name written
 * with an escape (`"\n"`) for one it has read before (`"\\"`): https://github.com/nodejs/node/issues/63785.
 * @throws SyntaxError for what is not JSON.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!text.includes('\\')) return value;
  const pieces: string[] = [];
  let escapes = false;
  let written = 0;
  for (const [start, end] of namesIn(text)) {
    const literal = text.slice(start, end);
    escapes ||= literal.includes('\\');
    pieces.push(text.slice(written, start), `"${codeOf(JSON.parse(literal) as string)}"`);
    written = end;
  }
  return escapes ? named(JSON.parse(pieces.join('') + text.slice(written))) : value;
}

/** Where in a JSON text the names of fields are, with their quotes. No regular expression: V8's stack ends at long strings. */
function* namesIn(text: string): Generator<[start: number, end: number]> {
  const colon = /\s*:/y;
  for (let start = text.indexOf('"'); start >= 0; start = text.indexOf('"', colon.lastIndex)) {
    const end = endOfString(text, start);
    colon.lastIndex = end;
    if (colon.test(text)) yield [start, end];
    else colon.lastIndex = end; // a test that fails sets it to 0
  }
}

function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); ; quote = text.indexOf('"', quote + 1)) {
    let escape = quote;
    while (text[escape - 1] === '\\') escape--;
    if ((quote - escape) % 2 === 0) return quote + 1;
  }
}

/** A name without escapes, which is never an index: those come first in an object. */
function codeOf(name: string): string {
  return `x${Buffer.from(name, 'utf16le').toString('hex')}`;
}

function nameOf(code: string): string {
  return Buffer.from(code.slice(1), 'hex').toString('utf16le');
}

function named(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(named);
  return Object.fromEntries(Object.entries(value).map(([code, field]) => [nameOf(code), named(field)]));
}
