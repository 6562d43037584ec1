import type { PiiSpan } from '../../core/pii.js';
import { isDash } from './characters.js';
import { digitsOf, sizeOf, touchesWord, type NumberRun, type RunVisitor } from './number-runs.js';

const MENTION = /(?<![a-z])(?:ssn|soc(?:ial)?\.?[\s_-]{0,2}sec(?:urity)?)(?![a-z])[^\d]{0,24}$/i;
const MENTION_REACH = 48;

/**
 * US social security numbers: 3-2-4 digits with dashes, of a range that was given out. Grouped by spaces or dots, or not at all,
 * they are nine digits like any others, so then the text before has to say what they are.
 */
export function socialSecurityNumbersInto(spans: PiiSpan[], text: string): RunVisitor {
  return (run) => {
    for (let index = 0; index < run.groups.length; index++) {
      const count = numberAt(text, run, index);
      if (count === 0) continue;
      spans.push({ start: run.groups[index]!.start, end: run.groups[index + count - 1]!.end, type: 'SSN' });
      index += count - 1;
    }
  };
}

/** How many groups from `index` on are a number: three, one, or none. */
function numberAt(text: string, run: NumberRun, index: number): number {
  const count = countAt(run, index);
  if (count === 0 || [run.gaps[index - 1], run.gaps[index + count - 1]].some((gap) => gap !== undefined && gap !== 'space' && gap !== 'wide')) return 0;
  const groups = run.groups.slice(index, index + count);
  const [start, end] = [groups[0]!.start, groups[count - 1]!.end];
  if (touchesWord(text, start, end) || !isGivenOut(digitsOf(text, groups))) return 0;
  const isDashed = count === 3 && isDash(text.charCodeAt(start + 3));
  return isDashed || MENTION.test(text.slice(Math.max(0, start - MENTION_REACH), start)) ? count : 0;
}

/** Groups of 3, 2 and 4 digits with the same separator twice, or one group of nine. */
function countAt({ groups, gaps }: NumberRun, index: number): number {
  const size = sizeOf(groups[index]!);
  if (size === 9) return 1;
  const [second, third] = [groups[index + 1], groups[index + 2]];
  if (size !== 3 || second === undefined || third === undefined || sizeOf(second) !== 2 || sizeOf(third) !== 4) return 0;
  return gaps[index] === gaps[index + 1] && (gaps[index] === 'dash' || gaps[index] === 'space' || gaps[index] === 'dot') ? 3 : 0;
}

/** No area 000, 666 or 900 to 999, no group 00, no serial 0000. */
function isGivenOut(digits: string): boolean {
  return !/^(?:000|666|9)/.test(digits) && digits.slice(3, 5) !== '00' && digits.slice(5) !== '0000';
}
