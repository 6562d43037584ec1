import type { PiiSpan } from '../../core/pii.js';
import { isWord } from './characters.js';
import { credentialsInUrls } from './url-credentials.js';
import { privateKeys } from './private-key.js';

/** Keys and tokens whose makers gave them a prefix: what they start with, and what follows. */
const PREFIXED: ReadonlyArray<readonly [prefixes: string, rest: string]> = [
  ['sk-proj- sk-svcacct- sk-admin- sk-ant- sk-or- sk-lf-', '[\\w-]{16,250}'], // OpenAI, Anthropic, OpenRouter, Langfuse
  ['sk-', '[A-Za-z0-9]{20,100}'], // OpenAI, DeepSeek and others
  ['sk_live_ sk_test_ pk_live_ pk_test_ rk_live_ rk_test_', '[A-Za-z0-9]{10,250}'], // Stripe
  ['whsec_', '[A-Za-z0-9+/=]{16,100}'],
  ['AKIA ASIA ABIA ACCA', '[A-Z0-9]{16}'], // AWS
  ['ghp_ gho_ ghu_ ghs_ ghr_', '[A-Za-z0-9]{30,255}'], // GitHub
  ['github_pat_', '\\w{30,255}'],
  ['glpat- glptt- gldt- glrt- glcbt- glft- glsoat- glagent-', '[\\w.-]{16,300}'], // GitLab
  ['xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-', '[A-Za-z0-9-]{10,250}'], // Slack
  ['AIza', '[\\w-]{35}'], // Google
  ['ya29.', '[\\w-]{20,1000}'],
  ['GOCSPX-', '[\\w-]{20,60}'],
  ['npm_', '[A-Za-z0-9]{30,60}'],
  ['pypi-', '[\\w-]{32,500}'],
  ['hf_', '[A-Za-z0-9]{20,60}'], // Hugging Face
  ['gsk_', '[A-Za-z0-9]{32,80}'], // Groq
  ['xai- pplx-', '[A-Za-z0-9]{32,120}'], // xAI, Perplexity
  ['r8_', '[A-Za-z0-9]{30,60}'], // Replicate
  ['nvapi-', '[\\w-]{32,120}'],
  ['tvly-', '[\\w-]{20,80}'],
  ['SG.', '[\\w-]{16,64}\\.[\\w-]{16,64}'], // SendGrid
  ['key-', '[a-f0-9]{32}'], // Mailgun
  ['dop_v1_ doo_v1_ dor_v1_', '[a-f0-9]{40,80}'], // DigitalOcean
  ['shpat_ shpca_ shppa_ shpss_', '[a-fA-F0-9]{32}'], // Shopify
  ['sq0atp- sq0csp-', '[\\w-]{20,60}'], // Square
  ['dckr_pat_', '[\\w-]{20,60}'],
  ['hvs.', '[\\w-]{20,300}'], // Vault
  ['lin_api_ ntn_', '[A-Za-z0-9]{30,60}'], // Linear, Notion
  ['PMAK-', '[a-f0-9]{24}-[a-f0-9]{34}'], // Postman
  ['AGE-SECRET-KEY-1', '[A-Z0-9]{58}'],
  ['eyJ', '[\\w-]{8,4000}\\.eyJ[\\w-]{8,8000}(?:\\.[\\w-]{0,2000})?'], // JSON web tokens
];
const literal = (text: string): string => text.replaceAll('.', '\\.');
/** A pattern that starts with a lookbehind is slow, so prefixes are found first and looked at afterwards. */
const PREFIX = new RegExp(PREFIXED.flatMap(([prefixes]) => literal(prefixes).split(' ')).join('|'), 'g');
const TOKEN = new RegExp(`(?:${PREFIXED.map(([prefixes, rest]) => `(?:${literal(prefixes).replaceAll(' ', '|')})${rest}`).join('|')})(?!\\w)`, 'y');
const TELEGRAM_TOKEN = /(?<![\w-])\d{8,10}:AA[\w-]{33}(?!\w)/g;

const HTTP_TOKEN = /(?:bearer|authorization["']?\s?[:=]\s?["']?(?:basic|token))[ \t]{1,4}([\w.~+/=-]{8,4000})/gi;

const ASSIGNMENT = /(key|token|secret|passwd|password|passphrase|pwd)["']?[ \t]{0,3}(?::=|=>|[:=])[ \t]{0,3}["'`]?([^\s"'`,;<>(){}[\]]{8,512})/gi;
/** Which keys and tokens are secret: not the key of a row, a cache or a map, not the token of a next page. */
const SECRET_KEY = /(?:api|secret|access|private|account|signing|encryption|master|auth)[_-]?$/i;
const SECRET_TOKEN = /(?:(?:access|auth|api|bearer|refresh|bot|id|session|deploy|personal)[_-]?|(?:^|[^\w-]))$/i;

/** API keys and tokens by their prefixes or by the name they are given to, private keys, and credentials in URLs. */
export function detectSecrets(text: string): PiiSpan[] {
  return [...prefixedTokens(text), ...httpTokens(text), ...assignedSecrets(text), ...privateKeys(text), ...credentialsInUrls(text)];
}

function* prefixedTokens(text: string): Generator<PiiSpan> {
  let coveredTo = 0;
  for (const { index } of text.matchAll(PREFIX)) {
    const before = text.charCodeAt(index - 1);
    if (index < coveredTo || isWord(before) || before === 45) continue;
    TOKEN.lastIndex = index;
    if (!TOKEN.test(text)) continue;
    coveredTo = TOKEN.lastIndex;
    yield secret(index, coveredTo);
  }
  if (!text.includes(':AA')) return;
  for (const { 0: found, index } of text.matchAll(TELEGRAM_TOKEN)) yield secret(index, index + found.length);
}

function* httpTokens(text: string): Generator<PiiSpan> {
  for (const match of text.matchAll(HTTP_TOKEN)) {
    const token = match[1]!.replace(/\.{1,4}$/, '');
    const start = match.index + match[0].length - match[1]!.length;
    if (!isWord(text.charCodeAt(match.index - 1)) && looksRandom(token, 12)) yield secret(start, start + token.length);
  }
}

function* assignedSecrets(text: string): Generator<PiiSpan> {
  for (const match of text.matchAll(ASSIGNMENT)) {
    const name = match[1]!.toLowerCase();
    const before = text.slice(Math.max(0, match.index - 12), match.index);
    if ((name === 'key' && !SECRET_KEY.test(before)) || (name === 'token' && !SECRET_TOKEN.test(before))) continue;
    const value = match[2]!.replace(/[.:]{1,4}$/, '');
    const start = match.index + match[0].length - match[2]!.length;
    if (looksRandom(value, name.startsWith('p') ? 8 : 16)) yield secret(start, start + value.length);
  }
}

/** A reference, a type, an address or a place for a secret: what programs and their documentation have instead of one. */
const NOT_A_SECRET = /\$|\*\*|\.\.\.|…|^(?:https?|file):|process\.env|os\.environ|^(?:[a-z_]\w*\.)+[a-z_]\w*(?:[-+]\d+)?$|^(?:u?int|float|big(?:u?int)?)\d+|^(?:your|my|example|placeholder|x{4})/i;

/** Letters and digits mixed, as people and machines make secrets. */
function looksRandom(value: string, shortest: number): boolean {
  return value.length >= shortest && /\d/.test(value) && /[a-z]/i.test(value) && !NOT_A_SECRET.test(value);
}

const secret = (start: number, end: number): PiiSpan => ({ start, end, type: 'SECRET' });
