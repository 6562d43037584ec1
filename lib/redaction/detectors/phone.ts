import type { PiiSpan } from '../../core/pii.js';
import { callingCodeOf } from './calling-codes.js';
import { isAsciiLetter, isDigit, isWord } from './characters.js';
import { digitsOf, sizeOf, touchesWord, type DigitGroup, type Gap, type NumberRun, type RunVisitor } from './number-runs.js';
import { CONTEXT_REACH, isCalledPhoneAfter, isQuantity, phoneContext } from './phone-context.js';

/** Some groups of a run: a number, or a part of the row that may be one. */
interface Piece {
  readonly groups: readonly DigitGroup[];
  readonly gaps: readonly Gap[];
  readonly sizes: readonly number[];
  readonly digits: string;
  /** Whether a parenthesis opens right before the first digit. */
  readonly isOpened: boolean;
  /** Whether it is the first piece of its row. */
  readonly isFirst: boolean;
}

/** What the text holds before a run, in code units. */
interface Before {
  numberEnd: number;
  phoneEnd: number;
}

/** What separates numbers rather than the parts of one, the strongest first: there a row that is no number is taken apart. */
const SEPARATION: readonly Gap[] = ['wide', 'slash', 'open', 'space'];
const MOST_DIGITS = 15;
const EXTENSION = /[\s,;]{0,2}(?:x|ext\.?|extn\.?|extension|durchwahl|poste)[\s.:]{0,2}\d{1,6}(?!\w)/iy;

/** What stands between two telephone numbers of a list. */
const NEXT_PHONE = /^(?:\s{0,2}[,;/&|]\s{0,2}|\s(?:or|and|oder|und|ou|et|o|y|e|i|lub)\s)$/;

/**
 * Telephone numbers: international ones by their country calling code, North American and trunk-prefixed national ones by
 * their shape, and digits of any shape when the words beside them say so.
 */
export function phonesInto(spans: PiiSpan[], text: string): RunVisitor {
  const before: Before = { numberEnd: 0, phoneEnd: -1 };
  return (run) => {
    if (run.isTable) return;
    const found = run.prefix.includes('+') ? internationalIn(text, run) : undefined;
    const phones = found === undefined ? phonesIn(text, run, pieceOf(text, run, 0, run.groups.length), before) : [found];
    for (const phone of phones) {
      spans.push(phone);
      before.phoneEnd = phone.end;
    }
    before.numberEnd = run.groups.at(-1)!.end;
  };
}

/** The longest row of groups behind a `+` that is a number. */
function internationalIn(text: string, { groups, gaps, prefix }: NumberRun): PiiSpan | undefined {
  const start = groups[0]!.start - prefix.length;
  if (/[\w)]/.test(text[start - 1] ?? ' ')) return undefined;
  for (let count = groups.length; count > 0; count--) {
    if (gaps[count - 1] === 'dot' || !isInternational(digitsOf(text, groups.slice(0, count)), count > 1)) continue;
    const end = withExtension(text, groups[count - 1]!.end);
    if (!isWord(text.charCodeAt(end))) return { start, end, type: 'PHONE' };
  }
  return undefined;
}

/** A calling code in use, and as many digits as its numbers have. `(0)` may stand behind the code. */
function isInternational(digits: string, isGrouped: boolean): boolean {
  const code = callingCodeOf(digits);
  if (code === undefined) return false;
  const national = digits.slice(code.length);
  if (code === '1') return /^[2-9]\d{9}$/.test(national);
  if (code === '7') return national.length === 10;
  return digits.length >= (isGrouped ? 8 : 9) && digits.length <= (national.startsWith('0') ? MOST_DIGITS + 1 : MOST_DIGITS);
}

function pieceOf(text: string, run: NumberRun, from: number, to: number): Piece {
  const isWhole = from === 0 && to === run.groups.length;
  const groups = isWhole ? run.groups : run.groups.slice(from, to);
  return {
    groups,
    gaps: isWhole ? run.gaps : run.gaps.slice(from, to - 1),
    sizes: groups.map(sizeOf),
    digits: digitsOf(text, groups),
    isOpened: text[groups[0]!.start - 1] === '(',
    isFirst: from === 0,
  };
}

/** The piece itself when it is a number, else those among its parts that are. */
function phonesIn(text: string, run: NumberRun, piece: Piece, before: Before): PiiSpan[] {
  if (piece.digits.length < 7) return [];
  const span = phoneOf(text, piece, before);
  if (span !== undefined) return [span];
  const strongest = SEPARATION.find((gap) => piece.gaps.includes(gap));
  // A row of single spaces is one number or none: a part of it would be a part of a list.
  if (strongest === undefined || (strongest === 'space' && piece.gaps.every((gap) => gap === 'space'))) return [];
  const offset = run.groups.indexOf(piece.groups[0]!);
  const spans: PiiSpan[] = [];
  let from = 0;
  for (let index = 0; index <= piece.gaps.length; index++) {
    if (index < piece.gaps.length && piece.gaps[index] !== strongest) continue;
    spans.push(...phonesIn(text, run, pieceOf(text, run, offset + from, offset + index + 1), before));
    from = index + 1;
  }
  return spans;
}

function phoneOf(text: string, piece: Piece, before: Before): PiiSpan | undefined {
  const isEnclosed = piece.isOpened && piece.gaps.includes('close');
  const start = piece.groups[0]!.start - (isEnclosed ? 1 : 0);
  const end = withExtension(text, piece.groups.at(-1)!.end);
  if (touchesWord(text, start, end) || startsWithDate(piece)) return undefined;
  const isPhone = (isShaped(piece) && standsAlone(text, start, end)) || isMentioned(text, piece, start, end, before);
  return isPhone ? { start, end, type: 'PHONE' } : undefined;
}

/** `2024-05-12`, `12.05.2024`: a year with a month and a day, whatever follows. */
function startsWithDate({ sizes, digits }: Piece): boolean {
  const [first = 0, second = 0, third = 0] = sizes;
  if (first === 4) return second <= 2 && third <= 2 && third > 0 && /^(?:19|20)/.test(digits);
  return third === 4 && first <= 2 && second <= 2 && /^(?:19|20)/.test(digits.slice(first + second));
}

/** Not a part of a path, a query, a time, an amount or a program. */
function standsAlone(text: string, start: number, end: number): boolean {
  if (start > 0 && '/\\#=$€£.@_-'.includes(text[start - 1]!)) return false;
  const after = text[end];
  if (after === ':' || after === '/') return !isDigit(text.charCodeAt(end + 1));
  return after !== '%' && after !== '@';
}

function withExtension(text: string, end: number): number {
  if (!hasLetterWithin(text, end, 3)) return end;
  EXTENSION.lastIndex = end;
  return EXTENSION.test(text) ? EXTENSION.lastIndex : end;
}

/** Shapes that hardly anything but a telephone number has. */
function isShaped(piece: Piece): boolean {
  if (piece.sizes.length < 2) return false;
  return isNorthAmerican(piece) || isDialledAbroad(piece) || isTrunkPrefixed(piece) || isTrunkPrefixedByEight(piece) || hasAreaInParentheses(piece);
}

/** `905-674-3793`, `(905) 674-3793`, `1 905 674 3793`. */
function isNorthAmerican({ sizes, digits, gaps }: Piece): boolean {
  if (!hasSizes(sizes.slice(-3), 3, 3, 4) || digits.length > 11 || (digits.length === 11 && !(sizes[0] === 1 && digits.startsWith('1')))) return false;
  const national = digits.slice(-10);
  const isAllSpaces = gaps.every((gap) => gap === 'space');
  return isAllSpaces ? /^[2-9]\d\d[2-9]/.test(national) : /^[2-9]/.test(national) && !gaps.includes('wide');
}

/** `001-253-366-9781`, `0044 20 7946 0958`. */
function isDialledAbroad({ sizes, digits }: Piece): boolean {
  return sizes[0]! > 1 && digits.startsWith('00') && digits.length >= 11 && isInternational(digits.slice(2), true);
}

/** A zero leads to another place of the country: `0494 92 82 32`, `03.93.92.16.85`, `(021) 0025-967`, `0351 / 1234567`. */
function isTrunkPrefixed(piece: Piece): boolean {
  const { sizes, digits, gaps } = piece;
  const [first = 0, ...rest] = sizes;
  if (rest.length === 0 || first > 5 || (first < 2 && gaps[0] !== 'close') || !/^0[1-9]/.test(digits)) return false;
  const isCodeLike = (first === 2 && rest.length === 1) || gaps.every((gap) => gap === 'dash');
  if (digits.length < (isCodeLike ? 10 : 9) || digits.length > 12 || Math.min(...rest) < 2) return false;
  const inner = gaps[0] === gaps.at(-1) ? gaps : gaps.slice(1);
  if (inner.some((gap) => gap !== inner[0]) || isRowOfPairs(piece)) return false;
  return !hasSizes(sizes, 3, 2, 4) && !hasSizes(sizes, 4, 4, 4) && !hasSizes(sizes, 3, 3, 3, 3);
}

/** Pairs other than the five of a French number, or five that count up: `01 02 03 04 05`. */
function isRowOfPairs({ sizes, digits }: Piece): boolean {
  if (sizes.some((size) => size !== 2)) return false;
  return sizes.length !== 5 || sizes.every((_, index) => Number(digits.slice(index * 2, index * 2 + 2)) === Number(digits.slice(0, 2)) + index);
}

/** The Russian trunk prefix: `8 (495) 123-45-67`. */
function isTrunkPrefixedByEight({ sizes, digits }: Piece): boolean {
  return digits.startsWith('8') && hasSizes(sizes, 1, 3, 3, 2, 2);
}

/** An area code in parentheses, with no number before it, as journals have: `(99) 645-791`, `(11) 4706-6184`, `(11) 98765-4321`. */
function hasAreaInParentheses({ sizes, gaps, digits, isOpened, isFirst }: Piece): boolean {
  const [area = 0, middle = 0, last = 0] = sizes;
  if (!isOpened || !isFirst || sizes.length !== 3 || gaps[0] !== 'close' || (gaps[1] !== 'dash' && gaps[1] !== 'space')) return false;
  if (area < 2 || area > 4 || middle < 3 || middle > 5 || last < 3 || last > 4 || digits.length < 8) return false;
  const isSpanOfYears = /^(?:19|20)\d\d(?:19|20)\d\d$/.test(digits.slice(area));
  return !isSpanOfYears && !(area === 4 && /^(?:19|20)/.test(digits));
}

/** Seven to fifteen digits that the words beside them call a telephone number. */
function isMentioned(text: string, piece: Piece, start: number, end: number, before: Before): boolean {
  const { digits, sizes, gaps } = piece;
  if (digits.length > MOST_DIGITS || Math.min(...sizes) < 2 || /^(\d)\1*$/.test(digits) || digits.endsWith('00000')) return false;
  if (sizes.length === 4 && Math.max(...sizes) <= 3 && gaps.every((gap) => gap === 'dot')) return false; // an IP address
  if (isDigit(text.charCodeAt(end + 1)) && /[,:]/.test(text[end] ?? '')) return false; // 1234567,89
  const after = hasLetterWithin(text, end, 5) ? text.slice(end, end + 32) : text.slice(end, end + 2);
  if (after.length > 2 && isCalledPhoneAfter(after, sizes.length > 1)) return true;
  if (start - before.phoneEnd <= 8 && before.phoneEnd > 0 && NEXT_PHONE.test(text.slice(before.phoneEnd, start))) return sizes.length > 1 || digits.length > 8;
  const context = phoneContext(text.slice(Math.max(before.numberEnd, start - CONTEXT_REACH), start));
  if (context === 'named') return !isQuantity(after) || sizes.length > 1;
  if (context === 'none' || isQuantity(after)) return false;
  if (context === 'numbered' && isGroupedByThousands(piece)) return false;
  return context === 'called directly' || sizes.length > 1;
}

/** `12 345 678`, `1.234.567`. */
function isGroupedByThousands({ sizes, gaps }: Piece): boolean {
  return sizes.every((size, index) => (index === 0 ? size <= 3 : size === 3)) && gaps.every((gap) => gap === 'space' || gap === 'dot');
}

const hasSizes = (sizes: readonly number[], ...wanted: readonly number[]): boolean =>
  sizes.length === wanted.length && wanted.every((size, index) => size === sizes[index]);

/** Cheaper than a pattern: most numbers have no word beside them. */
function hasLetterWithin(text: string, from: number, count: number): boolean {
  for (let at = from; at < from + count; at++) if (isAsciiLetter(text.charCodeAt(at)) || text.charCodeAt(at) > 0xbf) return true;
  return false;
}
