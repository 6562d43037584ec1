/** A text inside a JSON text. */
export interface JsonLiteral {
  readonly start: number;
  readonly end: number;
  /** What it stands for. */
  readonly text: string;
}

const LITERAL = /"(?:[^"\\]|\\.)*"/g;
/** Where searching the text as it is would go wrong: an escape, which is no part of what is meant, or a number, which has no quotes. */
const NEEDS_CARE = /\\|[:,[]\s*-?\d{7}/;
/** Names of fields, as programs give them. */
const NAME = /^[A-Za-z_$][\w$-]{0,40}$/;

/**
 * JSON as text, such as a tool call's arguments or result: what its texts stand for is looked through, and replaced in
 * place, so that it stays JSON and its numbers stay as they were written.
 */
export class JsonText {
  readonly literals: readonly JsonLiteral[];

  private constructor(readonly text: string) {
    const literals: JsonLiteral[] = [];
    for (const { 0: literal, index: start } of text.matchAll(LITERAL)) {
      const end = start + literal.length;
      const meant = JSON.parse(literal) as string;
      const isName = NAME.test(meant) && /^\s*:/.test(text.slice(end, end + 16));
      if (!isName) literals.push({ start, end, text: meant });
    }
    this.literals = literals;
  }

  /** `undefined` where a text is no JSON object or list, or can be searched as it is, with the names of its fields beside what they hold. */
  static of(text: string): JsonText | undefined {
    if (!/^\s*[{[]/.test(text) || !NEEDS_CARE.test(text)) return undefined;
    try {
      JSON.parse(text);
      return new JsonText(text);
    } catch {
      return undefined;
    }
  }

  /** The JSON with other texts in the place of some. */
  with(replaced: ReadonlyMap<number, string>): string {
    let text = '';
    let from = 0;
    for (const [index, literal] of this.literals.entries()) {
      const other = replaced.get(index);
      if (other === undefined) continue;
      text += this.text.slice(from, literal.start) + JSON.stringify(other);
      from = literal.end;
    }
    return text + this.text.slice(from);
  }
}
