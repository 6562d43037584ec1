import { Keyv } from 'keyv';
import { keyvConformance } from './keyv-adapter.js';

keyvConformance('a plain Keyv', async () => ({ store: new Keyv(), dispose: async () => {} }), { persistent: false });
