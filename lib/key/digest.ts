import { hash } from 'node:crypto';

/** SHA-256, base64url, 43 characters. */
export function digest(content: string | Uint8Array): string {
  return hash('sha256', typeof content === 'string' ? losslessly(content) : content, 'base64url');
}

/**
 * A text for whoever hashes it as UTF-8, which turns every lone surrogate into the same replacement character. So such
 * text becomes UTF-16, behind a byte that no UTF-8 text can hold.
 */
export function losslessly(text: string): string | Buffer {
  if (text.isWellFormed()) return text;
  return Buffer.concat([Uint8Array.of(0xff), Buffer.from(text, 'utf16le')]);
}
