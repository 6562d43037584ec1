import type { PiiSpan } from '../../core/pii.js';
import { isAsciiAlphanumeric, isAsciiLetter, isDash, isDigit, isSpace } from './characters.js';

/** Characters of an IBAN by country, as SWIFT's registry has them. */
const LENGTHS: ReadonlyMap<string, number> = new Map(
  (
    'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 ' +
    'FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 ' +
    'LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 ' +
    'SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30'
  )
    .split(' ')
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
);

/** Account numbers: a country, its length, and the remainder 1 by 97. Groups of four may stand apart. */
export function detectIbans(text: string): PiiSpan[] {
  const spans: PiiSpan[] = [];
  for (let at = 2; at < text.length; at++) {
    if (!isDigit(text.charCodeAt(at)) || !startsAt(text, at - 2)) continue;
    const end = endOfIban(text, at - 2);
    if (end === undefined) continue;
    spans.push({ start: at - 2, end, type: 'IBAN' });
    at = end;
  }
  return spans;
}

/** Two letters and two digits that do not go on to the left. */
function startsAt(text: string, at: number): boolean {
  return (
    isDigit(text.charCodeAt(at + 3)) &&
    isAsciiLetter(text.charCodeAt(at + 1)) &&
    isAsciiLetter(text.charCodeAt(at)) &&
    !isAsciiAlphanumeric(text.charCodeAt(at - 1))
  );
}

function endOfIban(text: string, start: number): number | undefined {
  const length = LENGTHS.get(text.slice(start, start + 2).toUpperCase());
  if (length === undefined) return undefined;
  let remainder = 0;
  let taken = 0;
  let at = start;
  // The first four characters count last, so they wait until the others have been taken.
  for (; taken < length; at++) {
    const code = text.charCodeAt(at);
    if (!isAsciiAlphanumeric(code)) {
      if (!isBetweenGroups(text, at, taken)) return undefined;
      continue;
    }
    if (taken++ >= 4) remainder = withCharacter(remainder, code);
  }
  for (let head = start; head < start + 4; head++) remainder = withCharacter(remainder, text.charCodeAt(head));
  return remainder !== 1 || isAsciiAlphanumeric(text.charCodeAt(at)) ? undefined : at;
}

/** One space or dash, behind a whole number of groups of four. */
function isBetweenGroups(text: string, at: number, taken: number): boolean {
  const code = text.charCodeAt(at);
  return taken % 4 === 0 && (isSpace(code) || isDash(code)) && isAsciiAlphanumeric(text.charCodeAt(at + 1));
}

/** ISO 7064, mod 97: letters count as 10 to 35. Character by character, so that no big number is needed. */
function withCharacter(remainder: number, code: number): number {
  return isDigit(code) ? (remainder * 10 + code - 48) % 97 : (remainder * 100 + (code | 32) - 87) % 97;
}
