import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import suite, { keyvIteratorTests } from '@keyv/test-suite';
import { Keyv } from 'keyv';
import * as test from 'vitest';
import { memoryStore } from '../../dist/esm/index.js';
import { redisStore } from '../../dist/esm/stores/redis/index.js';
import { sqliteStore } from '../../dist/esm/stores/sqlite/index.js';

const folder = mkdtempSync(join(tmpdir(), 'keyv-suite-'));
/** Of a server that scripts/keyv-suite.mjs has started, where there is one. */
const redisUrl = process.env.KEYV_SUITE_REDIS_URL;
const opened = [];
test.afterAll(async () => {
  await Promise.all(opened.map((store) => store.disconnect()));
  rmSync(folder, { recursive: true });
});

function open(store) {
  opened.push(store);
  return store;
}

const stores = {
  memoryStore: () => open(memoryStore()),
  sqliteStore: () => open(sqliteStore({ path: join(folder, 'cache.db') })),
  ...(redisUrl === undefined ? {} : { redisStore: () => open(redisStore({ url: redisUrl, namespace: 'keyv-suite' })) }),
};

/** The Keyv that our factory makes, with the options that the suite gives to a Keyv of its own. */
function OurKeyv({ store, ...options } = {}) {
  return store === undefined ? new Keyv() : Object.assign(store, options);
}

for (const [name, makeStore] of Object.entries(stores)) {
  test.describe(`${name}()`, () => {
    suite(test, OurKeyv, makeStore);
    keyvIteratorTests(test, OurKeyv, makeStore);
  });

  test.describe(`new Keyv({ store: ${name}().store })`, () => {
    suite(test, Keyv, () => makeStore().store);
    keyvIteratorTests(test, Keyv, () => makeStore().store);
  });
}
