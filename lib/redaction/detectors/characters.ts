// Character classes over UTF-16 code units. Detectors walk texts by code unit: it is linear, and many times faster than a pattern.

export const isDigit = (code: number): boolean => code >= 48 && code <= 57;

export const isAsciiLetter = (code: number): boolean => {
  const lower = code | 32;
  return lower >= 97 && lower <= 122;
};

export const isAsciiAlphanumeric = (code: number): boolean => isDigit(code) || isAsciiLetter(code);

/** Letters, digits and `_`: what a number that stands alone does not touch. */
export const isWord = (code: number): boolean => isAsciiAlphanumeric(code) || code === 95;

/** The space and its relatives that numbers are grouped with: no-break, figure, thin and narrow no-break space. */
export const isSpace = (code: number): boolean =>
  code === 32 || code === 0xa0 || code === 0x2007 || code === 0x2009 || code === 0x202f;

/** Hyphen-minus, the Unicode hyphens and dashes, and the minus sign. */
export const isDash = (code: number): boolean => code === 45 || (code >= 0x2010 && code <= 0x2015) || code === 0x2212;
