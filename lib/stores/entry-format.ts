import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { canonicalForm } from '../key/canonical-form.js';
import { losslessly } from '../key/digest.js';
import { openEnvelope, sealEnvelope, type Envelope, type EnvelopeProblem } from './envelope.js';
import { KeyRing, type EncryptionOptions } from './key-ring.js';

/** Why a stored text is not used: as for an envelope, or it is encrypted with a key that is not known here, or not at all. */
export type EntryProblem = EnvelopeProblem | 'unknown-key' | 'not-encrypted';

/** The tenant an entry belongs to. */
type Scope = string | number | undefined;

/** How an entry is written for the stores, and read back. */
export interface EntryFormat {
  seal(envelope: Envelope, scope: Scope): string;
  open(text: unknown, key: string, scope: Scope): Envelope | EntryProblem;
}

/** Envelopes as they are. */
export const plainEntries: EntryFormat = {
  seal: sealEnvelope,
  open: (text, key) => (isEncrypted(text) ? 'unknown-key' : openEnvelope(text, key)),
};

/** Format 1 of encrypted entries. `test/fixtures/golden` holds one. */
const FORMAT = 'llm-cache/e1';
const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

export function isEncrypted(text: unknown): text is string {
  return typeof text === 'string' && text.startsWith(`${FORMAT} `);
}

/**
 * Whole envelopes in AES-256-GCM (NIST SP 800-38D): `llm-cache/e1 <name of the key> <base64url of IV, ciphertext, tag>`.
 * Each scope has a key of its own, derived from the one in the ring. What an entry is for is authenticated with it, so
 * that one copied to another key or another tenant does not open.
 */
export class EncryptedEntries implements EntryFormat {
  private readonly ring: KeyRing;

  constructor(options: EncryptionOptions) {
    this.ring = new KeyRing(options, 'seal e1');
  }

  seal(envelope: Envelope, scope: Scope): string {
    const name = this.ring.current;
    // Random: 2^32 entries of one tenant may share a key before that is a risk, and a counter would have to be shared.
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, this.ring.find(name)!.of(canonicalForm(scope)), iv, { authTagLength: TAG_BYTES });
    cipher.setAAD(placeOf(name, envelope.key, scope));
    const bytes = Buffer.concat([iv, cipher.update(sealEnvelope(envelope), 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `${FORMAT} ${name} ${bytes.toString('base64url')}`;
  }

  open(text: unknown, key: string, scope: Scope): Envelope | EntryProblem {
    if (!isEncrypted(text)) {
      const plain = openEnvelope(text, key);
      return typeof plain === 'object' ? 'not-encrypted' : plain;
    }
    const nameEnd = text.indexOf(' ', FORMAT.length + 1);
    const name = text.slice(FORMAT.length + 1, nameEnd);
    const body = text.slice(nameEnd + 1);
    const keys = this.ring.find(name);
    if (keys === undefined) return 'unknown-key';
    const bytes = Buffer.from(body, 'base64url');
    // The decoder passes over what is no base64, and over bits that a last character has too many.
    if (bytes.length < IV_BYTES + TAG_BYTES || bytes.toString('base64url') !== body) return 'damaged';
    try {
      const decipher = createDecipheriv(CIPHER, keys.of(canonicalForm(scope)), bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAAD(placeOf(name, key, scope));
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
      const content = Buffer.concat([decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]);
      return openEnvelope(content.toString('utf8'), key);
    } catch {
      return 'damaged'; // or of another key or tenant: a tag does not say
    }
  }
}

/** What is authenticated beside the content: where it belongs. */
function placeOf(name: string, key: string, scope: Scope): Buffer {
  return Buffer.from(losslessly(canonicalForm([FORMAT, name, key, scope])));
}
