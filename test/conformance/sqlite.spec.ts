import { join } from 'node:path';
import { sqliteStore } from '../../lib/stores/sqlite/index.js';
import { temporaryFolder } from '../fixtures/sqlite/temporary-folder.js';
import { keyvConformance } from './keyv-adapter.js';

keyvConformance(
  'sqliteStore',
  async () => {
    const folder = await temporaryFolder();
    const open = () => sqliteStore({ path: join(folder.path, 'cache.sqlite') });
    let store = open();
    return {
      store,
      reopen: async () => {
        await store.disconnect();
        return (store = open());
      },
      dispose: async () => {
        await store.disconnect();
        await folder.remove();
      },
    };
  },
  { persistent: true },
);
