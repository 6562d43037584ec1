import { join } from 'node:path';
import { Keyv } from 'keyv';
import { KeyvFile } from 'keyv-file';
import { temporaryFolder } from '../fixtures/sqlite/temporary-folder.js';
import { keyvConformance } from './keyv-adapter.js';

keyvConformance(
  'keyv-file',
  async () => {
    const folder = await temporaryFolder();
    const stores: Keyv[] = [];
    const open = () => {
      const store = new Keyv({ store: new KeyvFile({ filename: join(folder.path, 'cache.json'), writeDelay: 1 }) });
      stores.push(store);
      return store;
    };
    return {
      store: open(),
      reopen: async () => open(),
      dispose: async () => {
        // keyv-file writes after reads too, and lets nobody wait for it but the next writer.
        for (const store of stores) await store.clear();
        await folder.remove();
      },
    };
  },
  { persistent: true },
);
