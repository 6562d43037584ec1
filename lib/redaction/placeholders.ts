import type { PiiType } from '../core/pii.js';

/** `[[EMAIL_1]]`: needs no escape in JSON and HTML, and its end keeps `_1` from being the start of `_11`. */
const STRICT = /^\[\[[A-Z][A-Z0-9_]{0,19}_\d{1,6}\]\]$/;
/** What models make of it: other case, one bracket, a space, an escaped underscore. */
const TOLERANT = /\[{1,2} ?([A-Za-z](?:[A-Za-z0-9]|\\?_){0,19}?)\\?_(\d{1,6}) ?\]{1,2}/g;
/** The start of a placeholder at the end of a piece of text. */
const BEGUN = /\[{1,2} ?(?:[A-Za-z][A-Za-z0-9_\\]{0,31} ?)?\]?$/;
/** No placeholder is longer, however it is written. */
export const LONGEST_PLACEHOLDER = 36;
/** Stands for text of the user's own that looks like a placeholder. */
const LITERAL = 'LITERAL';

export const isPlaceholderType = (type: unknown): boolean => typeof type === 'string' && /^[A-Z][A-Z0-9_]{0,19}$/.test(type);

/** The placeholders of one request: which stands for what. One counter per type, in the order of first appearance. */
export class Placeholders {
  private readonly values = new Map<string, string>();
  private readonly tokens = new Map<string, string>();
  private readonly counts = new Map<PiiType, number>();

  constructor(private readonly reserved: ReadonlySet<string> = new Set()) {}

  /** All placeholders in use, those of calls around this one included. */
  get inUse(): ReadonlySet<string> {
    return new Set([...this.reserved, ...this.values.keys()]);
  }

  /** The same value of the same type has one placeholder. Values are not normalised, or they would not come back exactly. */
  for(type: PiiType, value: string): string {
    const id = `${type} ${value}`;
    let token = this.tokens.get(id);
    while (token === undefined) {
      const count = (this.counts.get(type) ?? 0) + 1;
      this.counts.set(type, count);
      const next = `[[${type}_${count}]]`;
      if (!this.reserved.has(next)) this.tokens.set(id, (token = next));
    }
    this.values.set(token, value);
    return token;
  }

  /** Text of the user's own, in which whatever could be taken for a placeholder is put behind one. */
  quote(text: string, types: ReadonlySet<PiiType>): string {
    if (!text.includes('[')) return text;
    return text.replace(TOLERANT, (match, type: string) => {
      if (this.reserved.has(match)) return match;
      const couldBeTaken = isStrict(match) || types.has(plainType(type)) || /^literal$/i.test(type);
      return couldBeTaken ? this.for(LITERAL, match) : match;
    });
  }

  /** Puts back what the placeholders stand for, in one pass: what is put in is not looked at again. */
  restore(text: string, json: boolean): string {
    if (this.values.size === 0 || !text.includes('[')) return text;
    return text.replace(TOLERANT, (match, type: string, count: string) => {
      const value = this.values.get(match) ?? this.valueOfAltered(match, type, count);
      if (value === undefined) return match;
      return json ? JSON.stringify(value).slice(1, -1) : value;
    });
  }

  /** Whether a text holds no placeholder but these, nor anything like one of a type in use. */
  resolves(text: string): boolean {
    if (!text.includes('[')) return true;
    return [...text.matchAll(TOLERANT)].every(([match, type, count]) => {
      const isMeant = isStrict(match) || this.counts.has(plainType(type!));
      return !isMeant || this.values.has(match) || this.reserved.has(match) || this.valueOfAltered(match, type!, count!) !== undefined;
    });
  }

  private valueOfAltered(match: string, type: string, count: string): string | undefined {
    if (match.length > LONGEST_PLACEHOLDER || this.reserved.has(match)) return undefined;
    return this.values.get(`[[${plainType(type)}_${count}]]`);
  }
}

/** The type of an altered placeholder. */
const plainType = (type: string): PiiType => type.replaceAll('\\', '').toUpperCase();

const isStrict = (token: string): boolean => STRICT.test(token);

/** Restores a text that comes in pieces, holding back no more than what may be the start of a placeholder. */
export class PlaceholderStream {
  private held = '';

  constructor(
    private readonly placeholders: Placeholders,
    private readonly json: boolean,
  ) {}

  push(piece: string): string {
    const text = this.held + piece;
    const tailAt = Math.max(0, text.length - LONGEST_PLACEHOLDER);
    const begun = BEGUN.exec(text.slice(tailAt));
    const end = begun === null ? text.length : tailAt + begun.index;
    this.held = text.slice(end);
    return this.placeholders.restore(text.slice(0, end), this.json);
  }

  end(): string {
    const rest = this.placeholders.restore(this.held, this.json);
    this.held = '';
    return rest;
  }
}
