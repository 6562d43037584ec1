import type { PiiSpan } from '../../core/pii.js';
import { isWord } from './characters.js';
import { digitsOf, sizeOf, type Gap, type NumberRun, type RunVisitor } from './number-runs.js';

/** What an issuer's cards start with, as a range of the first four digits, and how many digits they have. */
interface Issuer {
  readonly from: number;
  readonly to: number;
  readonly lengths: readonly number[];
}

const issuer = (from: number, to: number, ...lengths: readonly number[]): Issuer => ({ from, to, lengths });
const MAESTRO = [5018, 5019, 5020, 5038, 5893, 6304, 6390, 6759, 6761, 6762, 6763, 604];

const ISSUERS: readonly Issuer[] = [
  issuer(4000, 4999, 13, 16, 19), // Visa
  issuer(5100, 5599, 16), // Mastercard
  issuer(2221, 2720, 16), // Mastercard
  issuer(3400, 3499, 15), // American Express
  issuer(3700, 3799, 15), // American Express
  issuer(3000, 3059, 14, 16), // Diners Club
  issuer(3095, 3095, 14, 16), // Diners Club
  issuer(3600, 3699, 14, 16), // Diners Club
  issuer(3800, 3999, 14, 16), // Diners Club
  issuer(6011, 6011, 16, 19), // Discover
  issuer(6440, 6599, 16, 19), // Discover
  issuer(3500, 3599, 16), // JCB
  issuer(3528, 3589, 19), // JCB
  issuer(2131, 2131, 15), // JCB, older
  issuer(1800, 1800, 15), // JCB, older
  issuer(6200, 6299, 16, 17, 18, 19), // UnionPay
  issuer(2200, 2204, 16, 19), // Mir
  issuer(9792, 9792, 16), // Troy
  ...MAESTRO.map((prefix) => issuer(prefix, prefix, 12, 13, 14, 15, 16, 17, 18, 19)),
  issuer(5600, 5899, 12, 13, 15, 16, 19), // Maestro
];

/** By prefix: the lengths there are, as bits. */
const LENGTHS = new Uint32Array(10_000);
for (const { from, to, lengths } of ISSUERS) {
  for (let prefix = from; prefix <= to; prefix++) for (const length of lengths) LENGTHS[prefix]! |= 1 << length;
}

/** How cards are printed, by the sizes of the groups. */
const PRINTED: ReadonlyArray<readonly number[]> = [
  [4, 4, 4, 4, 3], // the longest first: the first sixteen digits of nineteen may pass as well
  [4, 4, 4, 4],
  [4, 6, 5],
  [4, 6, 4],
  [4, 4, 4, 3],
  [4, 4, 4, 2],
  [4, 4, 5],
  [4, 4, 4],
  [4, 3, 3, 3],
];
const SHORTEST = 12;
const LONGEST = 19;

/** In a longer row of groups any four would make a card now and then: that is a table. */
const MOST_GROUPS = 10;

/** Card numbers: the issuer's prefix, one of its lengths, and Luhn's checksum. */
export function creditCardsInto(spans: PiiSpan[], text: string): RunVisitor {
  return (run) => {
    for (let index = 0; index < run.groups.length; index++) {
      const count = cardAt(text, run, index);
      if (count === 0) continue;
      spans.push({ start: run.groups[index]!.start, end: run.groups[index + count - 1]!.end, type: 'CREDIT_CARD' });
      index += count - 1;
    }
  };
}

/** How many groups from `index` on are a card; 0 for none. */
function cardAt(text: string, run: NumberRun, index: number): number {
  const size = sizeOf(run.groups[index]!);
  if (size < 4 || size > LONGEST || LENGTHS[prefixAt(text, run.groups[index]!.start)] === 0) return 0;
  if (size >= SHORTEST) return isCard(text, run, index, 1) ? 1 : 0;
  if (size > 4 || run.isTable || run.groups.length > MOST_GROUPS) return 0;
  return PRINTED.find((sizes) => isPrintedLike(run, index, sizes) && isCard(text, run, index, sizes.length))?.length ?? 0;
}

const isPrintedLike = ({ groups }: NumberRun, index: number, sizes: readonly number[]): boolean =>
  index + sizes.length <= groups.length && sizes.every((size, offset) => size === sizeOf(groups[index + offset]!));

function isCard(text: string, { groups, gaps }: NumberRun, index: number, count: number): boolean {
  const inside = gaps.slice(index, index + count - 1);
  if (inside.some((gap) => gap !== inside[0] || (gap !== 'space' && gap !== 'dash' && gap !== 'dot'))) return false;
  if (goesOn(gaps[index - 1], inside[0]) || goesOn(gaps[index + count - 1], inside[0])) return false;
  const window = groups.slice(index, index + count);
  if (isWord(text.charCodeAt(window[0]!.start - 1)) || isWord(text.charCodeAt(window.at(-1)!.end))) return false;
  const digits = digitsOf(text, window);
  return (LENGTHS[prefixAt(digits, 0)]! & (1 << digits.length)) !== 0 && !/^(\d)\1*$/.test(digits) && passesLuhn(digits);
}

/** A dot goes on with the same number, and a dash unless the digits are grouped by spaces. */
const goesOn = (gap: Gap | undefined, inside: Gap | undefined): boolean => gap === 'dot' || (gap === 'dash' && inside !== 'space');

/** The first four digits as a number. */
function prefixAt(text: string, at: number): number {
  let prefix = 0;
  for (let offset = 0; offset < 4; offset++) prefix = prefix * 10 + text.charCodeAt(at + offset) - 48;
  return prefix;
}

/** Luhn's checksum: every second digit from the right counts twice, its own digits added. */
function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let index = 0; index < digits.length; index++) {
    const digit = digits.charCodeAt(digits.length - 1 - index) - 48;
    const counted = index % 2 === 0 ? digit : digit * 2;
    sum += counted > 9 ? counted - 9 : counted;
  }
  return sum % 10 === 0;
}
