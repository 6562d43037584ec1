import { types } from 'node:util';
import { nonEmptyString, type OptionGroup } from '../core/check-options.js';
import { DerivedKeys } from '../key/derived-keys.js';

/** Keys that entries are encrypted with. */
export interface EncryptionOptions {
  /** Name of the key that is written with. It stands beside each entry, readable. */
  current: string;
  /** By name, every key that may be read with: 32 random bytes, or those in base64. */
  keys: Record<string, string | Uint8Array>;
}

const KEY_BYTES = 32;

/** Rules of the option `encryption`. */
export const encryptionRules: OptionGroup = {
  group: {
    current: nonEmptyString,
    keys: {
      names: { accepts: '1 to 64 letters, digits, ".", "_" or "-"', test: (name) => /^[\w.-]{1,64}$/.test(name as string) },
      each: { accepts: `${KEY_BYTES} bytes, as a Uint8Array or as a string in base64`, test: (key) => bytesOf(key)?.length === KEY_BYTES, isSecret: true },
    },
  },
  required: ['current', 'keys'],
  together: ({ current, keys }) =>
    Object.hasOwn(keys as object, current as string) ? undefined : { name: 'current', accepts: 'the name of one of encryption.keys' },
};

/** Keys by name. Entries are written with the current one, and read with whichever they name. */
export class KeyRing {
  readonly current: string;
  private readonly keys: ReadonlyMap<string, DerivedKeys>;

  /** @param purpose What the keys are for: those of two purposes differ. */
  constructor({ current, keys }: EncryptionOptions, purpose: string) {
    this.current = current;
    this.keys = new Map(Object.entries(keys).map(([name, key]) => [name, new DerivedKeys(bytesOf(key)!, purpose)]));
  }

  find(name: string): DerivedKeys | undefined {
    return this.keys.get(name);
  }
}

function bytesOf(key: unknown): Uint8Array | undefined {
  if (typeof key !== 'string') return types.isUint8Array(key) ? key : undefined;
  // Buffer.from skips what is no base64; a key cut short by it would be another key.
  return /^[\w+/-]+={0,2}$/.test(key) ? Buffer.from(key, 'base64') : undefined;
}
