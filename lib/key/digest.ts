import { transcode } from 'node:buffer';
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
  return utf8Of(text) ?? Buffer.concat([Uint8Array.of(0xff), Buffer.from(text, 'utf16le')]);
}

const NOT_LATIN1 = /[^\0-\u00ff]/;
/** In a shorter text there is nothing to gain. */
const LONG_CHARACTERS = 2_000;
/** Reused: making a buffer takes longer than filling it. */
const scratch = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * A text for whoever hashes it as UTF-8, long ones as the bytes; `undefined` for one with a lone surrogate. Node makes
 * UTF-8 of a string slower than of UTF-16, which also shows lone surrogates: 20 KB in ten languages took 44 us, and this way 27.
 */
export function utf8Of(text: string): string | Buffer | undefined {
  if (text.length < LONG_CHARACTERS || !NOT_LATIN1.test(text)) return text.isWellFormed() ? text : undefined;
  try {
    return transcode(utf16Of(text), 'utf16le', 'utf8');
  } catch {
    return undefined;
  }
}

function utf16Of(text: string): Buffer {
  if (2 * text.length > scratch.length) return Buffer.from(text, 'utf16le');
  return scratch.subarray(0, scratch.write(text, 'utf16le'));
}
