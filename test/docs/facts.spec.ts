import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInThisContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import * as everything from 'nestjs-llm-cache';
import { LlmCache, LlmCacheError, memoryStore } from 'nestjs-llm-cache';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import { checkCacheLlmOptions } from '../../lib/decorator/cache-llm-options.js';
import { engineOptionRules, settingsOf } from '../../lib/engine/engine-options.js';
import { checkBatchOptions } from '../../lib/llm/batch/batch-options.js';
import { cacheControlRules, checkCacheControl } from '../../lib/policy/cache-control.js';
import { staleRules } from '../../lib/policy/staleness.js';
import { redisPlace } from '../../lib/stores/redis/redis-options.js';
import { firstColumn, pages, root, textOf } from './documentation.js';

// What a page lists is what the code has, and nothing else.

/** The names a check knows, as it says itself when it meets another. */
function knownOptions(check: () => void): string[] {
  try {
    check();
  } catch (error) {
    return /Known options: (.*)\.$/.exec((error as Error).message)![1]!.split(', ');
  }
  throw new Error('the check knows every option');
}

const unknown = { 'no such option': 1 };
const ofEveryCall = new Set([...Object.keys(cacheControlRules), ...Object.keys(staleRules), 'cacheable', 'pii', 'signal']);

describe('the tables', () => {
  it.each<[string, string, string, () => string[]]>([
    ['README.md', 'option', 'options of the module', () => [...Object.keys(engineOptionRules), 'provider', 'isGlobal']],
    ['docs/decorator.md', 'option', 'options of the decorator', () => knownOptions(() => checkCacheLlmOptions('', unknown))],
    ['docs/batches.md', 'option', 'options of a batch', () => knownOptions(() => checkBatchOptions(unknown)).filter((name) => !ofEveryCall.has(name))],
    ['docs/redis.md', 'option', 'options of redisStore', () => knownOptions(() => redisPlace(unknown as never))],
    ['docs/control.md', 'field', 'cache control', () => knownOptions(() => checkCacheControl('', unknown))],
    ['docs/observability.md', 'field', 'stats', () => Object.keys(new LlmCache().stats())],
    ['docs/observability.md', 'of a tier', 'stats of a tier', () => Object.keys(new LlmCache().stats().tiers[0]!)],
  ])('%s, column %s: the %s', (page, header, _what, actual) => {
    expect(firstColumn(page, header).flatMap((cell) => cell.split('`, `')).sort()).toEqual(actual().sort());
  });

  it('docs/errors.md: every error class and every code', () => {
    const classes = Object.values(everything).filter((value): value is typeof LlmCacheError => typeof value === 'function' && value.prototype instanceof LlmCacheError);
    const rows = [...textOf('docs/errors.md').matchAll(/^\| `(\w+)` \| `(LLM_CACHE_\w+)` \|/gm)].map(([, name, code]) => `${name} ${code}`);
    const documented = rows.map((row) => row.split(' ')[1]!);
    expect(classes.length).toBeGreaterThan(5);
    expect(rows.sort()).toEqual(classes.map(({ name, expectedCode }) => `${name} ${expectedCode}`).sort());
    const source = readFileSync(join(root, 'lib/core/errors.ts'), 'utf8');
    const codes = [...source.slice(source.indexOf('LlmCacheErrorCode ='), source.indexOf(';', source.indexOf('LlmCacheErrorCode ='))).matchAll(/'(LLM_CACHE_\w+)'/g)].map(([, code]) => code!);
    expect(documented.sort()).toEqual(codes.sort());
  });

  it('docs/observability.md and docs/gate.md: every reason in the code', () => {
    const source = readdirSync(join(root, 'lib/engine')).map((file) => readFileSync(join(root, 'lib/engine', file), 'utf8')).join('\n');
    const gate = readFileSync(join(root, 'lib/policy/gate.ts'), 'utf8');
    const refusals = [...gate.slice(gate.indexOf('RefusalReason ='), gate.indexOf(';', gate.indexOf('RefusalReason ='))).matchAll(/'([\w-]+)'/g)].map(([, reason]) => reason!);
    expect(refusals.length).toBeGreaterThan(10);
    for (const reason of refusals) expect(textOf('docs/gate.md')).toContain(`\`${reason}\``);
    for (const reason of firstColumn('docs/observability.md', 'reason')) {
      const [fixed] = reason.split(':');
      if (reason !== 'error') expect(source).toContain(`'${fixed}`.replace(/^'(uncacheable input)/, '`$1'));
    }
  });
});

describe("the README's defaults", () => {
  const rows = [...textOf('README.md').matchAll(/^\| `(\w+)` \| `([^`]+)` \|/gm)].map(([, option, code]) => [option!, code!] as const);
  const given = rows.filter(([option]) => !['stores', 'isGlobal'].includes(option)); // code that runs, and Nest's

  it('are there', () => expect(given.length).toBeGreaterThan(7));

  it.each(given)('%s: %s', (option, code) => {
    const { stores: _stores, ...settings } = settingsOf({ [option]: runInThisContext(`(${code})`) as unknown });
    const { stores: _defaultStores, ...defaults } = settingsOf({});
    expect(settings).toEqual(defaults);
  });
});

describe("the README's figures", () => {
  const readme = textOf('README.md');

  it.each<[string, () => unknown, unknown]>([
    ['`memoryStore({ maxEntries, maxBytes })` keeps 10,000 entries and 64 MiB', () => boundsOf(memoryStore()), [10_000, 64 * 1024 ** 2]],
    ['`sqliteStore({ path, maxEntries, maxBytes })` a million and 1 GiB', () => boundsOf(sqliteStore({ path: 'never-opened.db' })), [1_000_000, 1024 ** 3]],
  ])('%s', (sentence, actual, expected) => {
    expect(readme).toContain(sentence);
    expect(actual()).toEqual(expected);
  });

  function boundsOf(store: ReturnType<typeof memoryStore>): unknown[] {
    const [tier] = new LlmCache({ stores: store }).stats().tiers;
    return [tier!.maxEntries, tier!.maxBytes];
  }

  it('name the Node and Nest versions of package.json', () => {
    const { engines, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { engines: { node: string }; peerDependencies: Record<string, string> };
    expect(engines.node).toBe('^20.19.0 || ^22.12.0 || >=24');
    expect(peerDependencies['@nestjs/core']).toBe('^11.0.0 || ^12.0.0');
    expect(readme).toContain('Node 20.19, 22.12, 24 or newer; Nest 11 or 12; ESM and CommonJS ');
  });
});

describe('the pages', () => {
  it('are one concept each: at most 150 lines', () => {
    const long = pages.filter((page) => page.startsWith('docs/')).filter((page) => textOf(page).trimEnd().split('\n').length > 150);
    expect(long).toEqual([]);
  });

  it('ARCHITECTURE.md names files that exist', () => {
    const files = [...textOf('ARCHITECTURE.md').matchAll(/`((?:core|key|policy|stores|streaming|engine|llm|decorator|module|observability)\/[\w.-]+(?:\/[\w.-]+)?\.ts)`/g)];
    expect(files.map(([, file]) => file!).filter((file) => !existsSync(join(root, 'lib', file)))).toEqual([]);
    expect(files.length).toBeGreaterThan(10);
  });

  it('docs/decisions are numbered without a gap, each with what was decided, why, and what it costs', () => {
    const decisions = pages.filter((page) => page.startsWith('docs/decisions/'));
    expect(decisions.map((page) => Number(page.slice('docs/decisions/'.length).slice(0, 4)))).toEqual(decisions.map((_, index) => index + 1));
    for (const page of decisions) {
      const number = Number(page.slice('docs/decisions/'.length).slice(0, 4));
      expect(textOf(page)).toMatch(new RegExp(`^# ${number}\\. .+\\n\\n\\*\\*Decided\\.\\*\\*[\\s\\S]*\\n\\*\\*Why\\.\\*\\*[\\s\\S]*\\n\\*\\*Costs\\.\\*\\*`));
    }
  });
});
