import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { digest } from './digest.js';

/** Tenants take turns; a key that fell out is derived again, in some microseconds. */
const MAX_KEPT = 1_000;
/** A place with a longer name is not kept. */
const MAX_PLACE_LENGTH = 500;

/** Keys out of one, by HKDF-SHA256 (RFC 5869): one for each place, none of which tells anything about another. */
export class DerivedKeys {
  /** Oldest first. */
  private readonly kept = new Map<string, KeyObject>();
  private readonly root: KeyObject;

  /** @param purpose Keys of two purposes differ, also where they come from the same bytes. */
  constructor(
    bytes: Uint8Array,
    private readonly purpose: string,
  ) {
    this.root = createSecretKey(bytes); // a copy, which nothing prints
  }

  /** @param place What the key is for, in canonical form, such as a tenant's. */
  of(place: string): KeyObject {
    const kept = this.kept.get(place);
    if (kept !== undefined) return kept;
    // As a digest: what HKDF is told may have 1,024 bytes, a tenant's name more.
    const info = `nestjs-llm-cache ${this.purpose} ${digest(place)}`;
    const key = createSecretKey(new Uint8Array(hkdfSync('sha256', this.root, '', info, 32)));
    if (place.length <= MAX_PLACE_LENGTH) this.keep(place, key);
    return key;
  }

  private keep(place: string, key: KeyObject): void {
    if (this.kept.size >= MAX_KEPT) this.kept.delete(this.kept.keys().next().value!);
    this.kept.set(place, key);
  }
}
