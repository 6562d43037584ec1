import { hash } from 'node:crypto';
import { isRecord } from '../core/check-options.js';
import type { LlmUsage } from '../core/types.js';
import { utf8Of } from '../key/digest.js';

/** What is stored beside an answer. */
export interface EnvelopeHeader {
  /** The entry's own key: an entry copied to another key is not taken for that key's answer. */
  key: string;
  createdAtMs: number;
  /** `null` never expires. */
  expiresAtMs: number | null;
  /** The version of each group the entry belongs to, taken before the answer was computed. */
  versions: ReadonlyArray<readonly [group: string, version: string]>;
  /** How long the answer took to compute, milliseconds. */
  latencyMs: number;
  usage?: LlmUsage;
  model?: string;
  finishReason?: string;
  /** Digest of the source of the method that computed the answer, where a decorated method did. */
  body?: string;
}

export interface Envelope extends EnvelopeHeader {
  /** The answer, as `encodeValue` wrote it. */
  payload: string;
}

/** Why a stored text is not an entry of this key. */
export type EnvelopeProblem = 'unknown-format' | 'damaged' | 'swapped';

/** Format 1. A new format gets a new number; files in `test/fixtures/golden` keep the old ones readable or cleanly missed. */
const FORMAT = 'llm-cache/1';

/** `llm-cache/1 <checksum>\n<header as JSON>\n<payload>` */
export function sealEnvelope({ payload, ...header }: Envelope): string {
  const content = `${JSON.stringify(header)}\n${payload}`;
  return `${FORMAT} ${checksum(utf8Of(content) ?? content)}\n${content}`;
}

export function openEnvelope(text: unknown, key: string): Envelope | EnvelopeProblem {
  if (typeof text !== 'string' || !text.startsWith(`${FORMAT} `)) return 'unknown-format';
  const contentAt = FORMAT.length + 1 + CHECKSUM_LENGTH + 1;
  const content = text.slice(contentAt);
  const utf8 = utf8Of(content);
  // A sealed text has no lone surrogates, and the checksum cannot see them.
  if (utf8 === undefined || text.slice(FORMAT.length + 1, contentAt) !== `${checksum(utf8)}\n`) return 'damaged';
  const headerEnd = content.indexOf('\n');
  const header = parseHeader(content.slice(0, headerEnd));
  if (header === undefined) return 'damaged';
  if (header.key !== key) return 'swapped';
  return Object.assign(header, { payload: content.slice(headerEnd + 1) }); // a spread takes 1 us more on Node 20
}

function parseHeader(json: string): EnvelopeHeader | undefined {
  try {
    const header: unknown = JSON.parse(json);
    return isHeader(header) ? header : undefined;
  } catch {
    return undefined;
  }
}

function isHeader(value: unknown): value is EnvelopeHeader {
  if (!isRecord(value)) return false;
  const { createdAtMs, expiresAtMs, latencyMs, versions } = value;
  if (typeof createdAtMs !== 'number' || typeof (expiresAtMs ?? 0) !== 'number' || typeof latencyMs !== 'number') return false;
  return Array.isArray(versions) && versions.every((pair) => Array.isArray(pair) && pair.length === 2);
}

/** 132 bits of SHA-256: against damage, not against an attacker, who could write a correct one. */
const CHECKSUM_LENGTH = 22;

function checksum(content: string | Buffer): string {
  return hash('sha256', content, 'base64url').slice(0, CHECKSUM_LENGTH);
}
