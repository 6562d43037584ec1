import { isIPv6 } from 'node:net';
import type { PiiSpan } from '../../core/pii.js';

const IPV4 = /(?<![\w.]|[a-z_]-)(?:\d{1,3}\.){3}\d{1,3}(?!\w|-[a-z]|\.\d)/gi;
const IPV6 = /(?<![\w:.])[\da-f]{0,4}:[\da-f:]{1,39}(?![\w:])/gi;

/** The last character of a name in front of a number. */
const IS_NAMED = /[\p{L}§/]/u;

/** What makes four numbers with dots a version or a place in a document. */
const NAMED_NUMBER = /(?:\b(?:v|ver|version|versions|release|build|rev|revision|section|sections|sec|chapter|clause|paragraph|article|figure|table|step|appendix|oid|firmware|driver)\.?[\s:=#]{0,3}|§{1,2}\s?|\w\/)$/i;
const NAME_REACH = 16;

/** IP addresses of version 4 and 6, but for those that name no machine: unspecified, loopback, masks, and networks such as `10.0.0.0/8`. */
export function detectIpAddresses(text: string): PiiSpan[] {
  return [...ipv4Spans(text), ...ipv6Spans(text)];
}

function* ipv4Spans(text: string): Generator<PiiSpan> {
  if (!text.includes('.')) return;
  for (const { 0: found, index } of text.matchAll(IPV4)) {
    const end = index + found.length;
    const octets = octetsOf(found);
    if (octets === undefined || namesNoMachine(octets) || isNamed(text, index)) continue;
    if (text[end] === '/' && isNetwork(octets, text.slice(end, end + 3))) continue;
    yield { start: index, end, type: 'IP' };
  }
}

/** Four numbers of at most 255, without leading zeros. */
function octetsOf(address: string): readonly number[] | undefined {
  const octets = [0, 0, 0, 0];
  let place = 0;
  let digits = 0;
  for (let at = 0; at < address.length; at++) {
    const code = address.charCodeAt(at);
    if (code === 46) {
      place++;
      digits = 0;
      continue;
    }
    if (digits++ > 0 && octets[place] === 0) return undefined;
    octets[place] = octets[place]! * 10 + code - 48;
    if (octets[place]! > 255) return undefined;
  }
  return octets;
}

function isNamed(text: string, at: number): boolean {
  let end = at;
  while (end > at - 4 && ' .:=#\t\n'.includes(text[end - 1] ?? '?')) end--;
  const last = text[end - 1];
  return last !== undefined && IS_NAMED.test(last) && NAMED_NUMBER.test(text.slice(Math.max(0, at - NAME_REACH), at));
}

function namesNoMachine([first, second, third, fourth]: readonly number[]): boolean {
  return first === 0 || (first === 255 && second === 255) || (first === 127 && second === 0 && third === 0 && fourth === 1);
}

/** A prefix length follows, and no bit behind the prefix is set. */
function isNetwork(octets: readonly number[], after: string): boolean {
  const length = /^\/(\d{1,2})/.exec(after)?.[1];
  if (length === undefined || Number(length) > 32) return false;
  const address = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  return address % 2 ** (32 - Number(length)) === 0;
}

function* ipv6Spans(text: string): Generator<PiiSpan> {
  if (!text.includes(':')) return;
  for (const { 0: found, index } of text.matchAll(IPV6)) {
    const address = found.replace(/(?<!:):$/, ''); // "from 2001:db8::1: timeout"
    if (isIPv6(address) && isSurely(address)) yield { start: index, end: index + address.length, type: 'IP' };
  }
}

/** `a::b` is a name in a program, eight pairs are a hardware address, `1:2:3:4:5:6:7:8` counts, `::1` is the machine itself. */
function isSurely(address: string): boolean {
  const groups = address.split(':').filter((group) => group !== '');
  if (!address.includes('::')) return groups.some((group) => group.length > 2);
  return (groups[0]?.length ?? 0) >= 3 && groups.some((group) => /\d/.test(group));
}
