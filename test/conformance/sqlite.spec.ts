import { join } from 'node:path';
import { sqliteStore } from '../../lib/stores/sqlite/index.js';
import { temporaryFolder } from '../fixtures/sqlite/temporary-folder.js';
import { keyvConformance, reopening } from './keyv-adapter.js';

keyvConformance(
  'sqliteStore',
  async () => {
    const folder = await temporaryFolder();
    return reopening(() => sqliteStore({ path: join(folder.path, 'cache.sqlite') }), { afterLast: () => folder.remove() });
  },
  { persistent: true },
);
