/** Never occurs in UTF-8, so what others write is not taken for ours. The second byte says how the text follows. */
const MARK = 0xfe;
const LATIN1 = 0x01;
const UTF16 = 0x02;
/** Even, so that UTF-16 is aligned. */
const HEADER_BYTES = 2;

const NOT_LATIN1 = /[^\0-\u00ff]/;

/**
 * A text as bytes that are cheap to read: a byte a character where that is enough, else UTF-16LE. UTF-8 is smaller for
 * English with typographic quotes, and yet slower: 20 KB with 1 % of other characters took 43 us to write to a local
 * Redis and 42 us to read, against 37 and 33 us in UTF-16, and 20 KB in several languages 65 and 83 us against 36 and 32.
 */
export function encodeText(text: string): Buffer {
  if (NOT_LATIN1.test(text)) {
    const bytes = Buffer.allocUnsafe(HEADER_BYTES + 2 * text.length);
    bytes.writeUInt16BE((MARK << 8) | UTF16);
    bytes.write(text, HEADER_BYTES, 'utf16le');
    return bytes;
  }
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + text.length);
  bytes.writeUInt16BE((MARK << 8) | LATIN1);
  bytes.write(text, HEADER_BYTES, 'latin1');
  return bytes;
}

/** The text; `undefined` when it was not written by {@link encodeText}. */
export function decodeText(bytes: Buffer): string | undefined {
  if (bytes[0] !== MARK) return undefined;
  if (bytes[1] === LATIN1) return bytes.toString('latin1', HEADER_BYTES);
  // A cut text has an odd byte, which belongs to no character; the envelope's checksum finds it.
  return bytes[1] === UTF16 ? bytes.toString('utf16le', HEADER_BYTES) : undefined;
}
