import { isDash, isDigit, isSpace, isWord } from './characters.js';

/** Digits that follow each other. */
export interface DigitGroup {
  readonly start: number;
  readonly end: number;
}

/**
 * What stands between two groups. `open` and `close` are a parenthesis with at most one space or dash beside it, `wide` is a dash
 * or slash with a space on each side.
 */
export type Gap = 'space' | 'dash' | 'dot' | 'slash' | 'open' | 'close' | 'wide';

/** Groups of digits that belong together as far as their separators say: `+41 (0)71 526 99 04`, `4111-1111-1111-1111`, `2024-05-12`. */
export interface NumberRun {
  readonly groups: readonly DigitGroup[];
  /** `gaps[i]` is between groups `i` and `i + 1`. */
  readonly gaps: readonly Gap[];
  /** What stands right before the first digit. */
  readonly prefix: '' | '+' | '(' | '(+';
  /** Whether it is a part of a longer row of numbers, such as a line of a table. */
  readonly isTable: boolean;
}

/** The shortest number any detector looks at, and the most groups a single number has, with room for a neighbour. */
const FEWEST_DIGITS = 7;
const MOST_GROUPS = 24;

/** Takes one run after the other, in order. */
export type RunVisitor = (run: NumberRun) => void;

/**
 * Shows every row of digits and separators with at least seven digits. Linear: each code unit is looked at a few times at most.
 * Runs are handed out one by one and not collected, for a megabyte of digits would hold very many.
 */
export function visitNumberRuns(text: string, visit: RunVisitor): void {
  const { length } = text;
  for (let at = 0; at < length; at++) {
    if (isDigit(text.charCodeAt(at))) at = visitRow(text, at, visit);
  }
}

/** Reads one row of numbers from its first digit on, cut where it gets too long for one number; gives back where it ends. */
function visitRow(text: string, first: number, visit: RunVisitor): number {
  const prefix = prefixBefore(text, first);
  let groups: DigitGroup[] = [];
  let gaps: Gap[] = [];
  let digits = 0;
  let isTable = false;
  let at = first;
  for (;;) {
    const start = at;
    while (isDigit(text.charCodeAt(at))) at++;
    groups.push({ start, end: at });
    digits += at - start;
    const gap = gapAt(text, at);
    if (gap !== undefined && groups.length < MOST_GROUPS) {
      gaps.push(gap.kind);
    } else {
      isTable ||= gap !== undefined;
      if (digits >= FEWEST_DIGITS) visit({ groups, gaps, prefix, isTable });
      [groups, gaps, digits] = [[], [], 0];
    }
    if (gap === undefined) return at;
    at += gap.length;
  }
}

function prefixBefore(text: string, first: number): NumberRun['prefix'] {
  const before = text[first - 1];
  if (before === '+') return text[first - 2] === '(' ? '(+' : '+';
  if (before !== '(') return '';
  return text[first - 2] === '+' ? '(+' : '('; // +(49) is read as (+49)
}

interface FoundGap {
  readonly kind: Gap;
  readonly length: number;
}

const SINGLE: Readonly<Record<'space' | 'dash' | 'dot' | 'slash', FoundGap>> = {
  space: { kind: 'space', length: 1 },
  dash: { kind: 'dash', length: 1 },
  dot: { kind: 'dot', length: 1 },
  slash: { kind: 'slash', length: 1 },
};

function separatorAt(code: number): FoundGap | undefined {
  if (isSpace(code)) return SINGLE.space;
  if (isDash(code)) return SINGLE.dash;
  if (code === 46) return SINGLE.dot;
  return code === 47 ? SINGLE.slash : undefined;
}

/** The separator at a place, when digits follow it. */
function gapAt(text: string, at: number): FoundGap | undefined {
  const [code, next, afterNext] = [text.charCodeAt(at), text.charCodeAt(at + 1), text.charCodeAt(at + 2)];
  const separator = separatorAt(code);
  if (separator !== undefined && isDigit(next)) return separator;
  if (code === 41) {
    if (isDigit(next)) return { kind: 'close', length: 1 };
    if (separatorAt(next) !== undefined && isDigit(afterNext)) return { kind: 'close', length: 2 };
  } else if (code === 40 && isDigit(next)) {
    return { kind: 'open', length: 1 };
  } else if (separator !== undefined && next === 40 && isDigit(afterNext)) {
    return { kind: 'open', length: 2 };
  }
  const isWide = isSpace(code) && (isDash(next) || next === 47) && isSpace(afterNext) && isDigit(text.charCodeAt(at + 3));
  return isWide ? { kind: 'wide', length: 3 } : undefined;
}

/** Whether a number touches a word, or goes on behind a dot or a dash: then it is a part of a name, a version or a code. */
export function touchesWord(text: string, start: number, end: number): boolean {
  return isTouching(text.charCodeAt(start - 1), text.charCodeAt(start - 2)) || isTouching(text.charCodeAt(end), text.charCodeAt(end + 1));
}

function isTouching(neighbour: number, beyond: number): boolean {
  return isWord(neighbour) || (neighbour === 46 && isDigit(beyond)) || (isDash(neighbour) && isWord(beyond));
}

export const sizeOf = ({ start, end }: DigitGroup): number => end - start;

/** The digits of some groups, without separators. */
export function digitsOf(text: string, groups: readonly DigitGroup[]): string {
  let digits = '';
  for (const { start, end } of groups) digits += text.slice(start, end);
  return digits;
}
