import { redisStore } from '../../lib/stores/redis/index.js';
import { describeWithRedis, freshNamespace } from '../fixtures/redis/with-redis.js';
import { keyvConformance } from './keyv-adapter.js';

describeWithRedis('over Redis', (url) => {
  keyvConformance(
    'redisStore',
    async () => {
      const namespace = freshNamespace();
      const open = () => redisStore({ url: url(), namespace });
      let store = open();
      return {
        store,
        reopen: async () => {
          await store.disconnect();
          return (store = open());
        },
        dispose: async () => {
          await store.clear();
          await store.disconnect();
        },
      };
    },
    { persistent: true },
  );
});
