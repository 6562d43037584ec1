import type { PiiSpan } from '../../core/pii.js';

/** A user's name, which may be empty, and a password that ends at the last `@` before the host. */
const USER_INFO = /[^\s:/@?#"'`<>]{0,128}:([^\s/"'`<>]{1,256})@(?=[^\s@])/y;

const LONGEST = 3 + 128 + 1 + 256;

/** `${DB_PASSWORD}`, `{password}`, `$PASSWORD`, `%s`, `****`: a place for a password. */
const PLACEHOLDER = /^(?:\$|\{|%[sd@]|\*+$|\[|x{3,}$)/i;

/** Where credentials that are a path may be: webhooks that need nothing but their address. */
const WEBHOOK = /(?<![\w.-])hooks\.slack\.com\/(?:services|workflows)\/[\w/-]{20,120}|(?<![\w.-])discord(?:app)?\.com\/api\/webhooks\/\d{10,24}\/[\w-]{40,100}/g;

/** The password in `scheme://user:password@host`, and the addresses of webhooks. */
export function* credentialsInUrls(text: string): Generator<PiiSpan> {
  let nextSign = -1;
  for (let at = text.indexOf('://'); at !== -1; at = text.indexOf('://', at + 3)) {
    if (nextSign < at) nextSign = text.indexOf('@', at);
    if (nextSign === -1) break;
    if (nextSign - at > LONGEST) continue;
    USER_INFO.lastIndex = at + 3;
    const found = USER_INFO.exec(text);
    if (found === null || PLACEHOLDER.test(found[1]!)) continue;
    const end = at + 3 + found[0].length - 1;
    yield { start: end - found[1]!.length, end, type: 'SECRET' };
  }
  if (!text.includes('://hooks.slack') && !text.includes('://discord')) return;
  for (const { 0: found, index } of text.matchAll(WEBHOOK)) yield { start: index, end: index + found.length, type: 'SECRET' };
}
