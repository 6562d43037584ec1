import { memoryStore } from '../../lib/stores/memory/index.js';
import { keyvConformance } from './keyv-adapter.js';

keyvConformance('memoryStore', async () => ({ store: memoryStore(), dispose: async () => {} }), { persistent: false });
