import { createHmac } from 'node:crypto';
import { types } from 'node:util';
import type { OptionRule } from '../core/check-options.js';
import { DerivedKeys } from './derived-keys.js';
import { losslessly } from './digest.js';

const LEAST_BYTES = 32;

/** Rule of the option `secret`. */
export const aSecret: OptionRule = {
  accepts: `at least ${LEAST_BYTES} bytes, as a string or a Uint8Array, such as randomBytes(32)`,
  test: (value) => ((typeof value === 'string' && value.isWellFormed()) || types.isUint8Array(value)) && Buffer.byteLength(value) >= LEAST_BYTES,
  isSecret: true,
};

/**
 * What names entries and groups where the app has a secret: HMAC-SHA256 in place of SHA-256, so that whoever lists a
 * store cannot find out by hashing guesses what was asked, and by whom.
 */
export class Secret {
  private readonly keys: Record<'entry' | 'group', DerivedKeys>;

  /** @param secret At least 32 bytes; a string counts as its UTF-8. */
  constructor(secret: string | Uint8Array) {
    const bytes = Buffer.from(secret);
    this.keys = { entry: new DerivedKeys(bytes, 'entry llm1k'), group: new DerivedKeys(bytes, 'group llm1k') };
  }

  /**
   * HMAC-SHA256, base64url, 43 characters.
   * @param place What the key is derived for, in canonical form: the namespace, and for an entry its scope.
   */
  digest(purpose: 'entry' | 'group', place: string, content: string): string {
    return createHmac('sha256', this.keys[purpose].of(place)).update(losslessly(content)).digest('base64url');
  }
}
