import { createHash, hash } from 'node:crypto';

/** SHA-256, base64url, 43 characters. */
export function digest(content: string | Uint8Array): string {
  if (typeof content !== 'string' || content.isWellFormed()) return hash('sha256', content, 'base64url');
  return digestOfLoneSurrogates(content);
}

/**
 * UTF-8 turns every lone surrogate into the same replacement character, so such text is hashed as UTF-16,
 * behind a byte that no UTF-8 text can hold.
 */
function digestOfLoneSurrogates(text: string): string {
  return createHash('sha256').update(Uint8Array.of(0xff)).update(Buffer.from(text, 'utf16le')).digest('base64url');
}
