import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import type { LoggerService } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Keyv } from 'keyv';
import { LlmCacheModule, type LlmCacheOptions, memoryStore } from 'nestjs-llm-cache';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import { LlmCacheTestingModule } from 'nestjs-llm-cache/testing';
import { opened } from '../../fixtures/apps.js';

const folder = mkdtempSync(join(tmpdir(), 'llm-cache-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const sqlite = () => sqliteStore({ path: join(folder, `${files++}.db`) });
const shared = () => ({ get: () => undefined, set: () => true, delete: () => true, clear: () => undefined });

async function linesOf(options: LlmCacheOptions, module: typeof LlmCacheModule | typeof LlmCacheTestingModule = LlmCacheModule): Promise<string[]> {
  const lines: string[] = [];
  const nothing = (): void => undefined;
  const logger: LoggerService = { log: nothing, error: nothing, debug: nothing, verbose: nothing, warn: (text: unknown) => void lines.push(String(text)) };
  const moduleRef = await Test.createTestingModule({ imports: [module.forRoot({ secret: 's'.repeat(32), ...options })] }).setLogger(logger).compile();
  opened(await moduleRef.init());
  return lines;
}

describe('without the option pii, one line at start-up', () => {
  it.each<[string, string, () => LlmCacheOptions['stores']]>([
    ['sqlite', 'sqliteStore', sqlite],
    ['sqlite', 'sqliteStore behind memory', () => [memoryStore(), sqlite()]],
    ['sqlite', 'a Keyv over it', () => new Keyv({ store: sqlite().store as never })],
    ['store 0', 'a store of others', shared],
  ])('names %s: %s', async (name, _what, make) => {
    expect(await linesOf({ stores: make()! })).toEqual([
      `${name} keeps answers, and nobody looks for personal data in them. Set the option \`pii\`, such as pii: { mode: 'bypass' }, or pii: false if that is on purpose.`,
    ]);
  });

  it.each<[string, () => LlmCacheOptions]>([
    ['memory', () => ({})],
    ['a Map', () => ({ stores: new Map() as never })],
    ['pii: false', () => ({ stores: sqlite(), pii: false })],
    ['pii', () => ({ stores: sqlite(), pii: {} })],
    ['the kill switch', () => ({ stores: sqlite(), mode: 'off' })],
  ])('does not come with %s', async (_what, make) => {
    expect(await linesOf(make())).toEqual([]);
  });

  it('does not come in tests', async () => {
    expect(await linesOf({ stores: sqlite() }, LlmCacheTestingModule)).toEqual([]);
  });
});
