import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { digest } from '../../../lib/key/digest.js';

describe('digest', () => {
  it.each(['', 'abc', 'naïve Ω 中文 🦜', 'x'.repeat(100_000), 'é'.repeat(5_000), 'naïve Ω 中文 🦜 \ufffd'.repeat(200), '中'.repeat(100_000)])('of well-formed text is the SHA-256 of its UTF-8 (%#)', (text) => {
    expect(digest(text)).toBe(createHash('sha256').update(text, 'utf8').digest('base64url'));
  });

  it('of text is that of its bytes', () => {
    expect(digest('abc')).toBe(digest(Buffer.from('abc')));
  });

  it('tells lone surrogates apart that UTF-8 cannot', () => {
    const texts = ['\ud800', '\ud801', '\udfff', '\ufffd', '\ud800\ud800', 'a\ud800', '\ud800a'];
    for (const long of ['', 'Ω'.repeat(5_000), 'Ω'.repeat(50_000)]) {
      expect(new Set(texts.map((text) => digest(long + text))).size).toBe(texts.length);
    }
  });

  it('of lone surrogates is no digest of well-formed text with the same bytes', () => {
    const text = '\ud800';
    const bytes = Buffer.concat([Uint8Array.of(0xff), Buffer.from(text, 'utf16le')]);
    expect(digest(text)).toBe(digest(bytes));
    expect(digest(text)).not.toBe(digest(Buffer.from(text, 'utf16le').toString('latin1')));
  });
});
