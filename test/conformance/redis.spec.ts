import { redisStore } from '../../lib/stores/redis/index.js';
import { describeWithRedis, freshNamespace } from '../fixtures/redis/with-redis.js';
import { keyvConformance, reopening } from './keyv-adapter.js';

describeWithRedis('over Redis', (url) => {
  keyvConformance(
    'redisStore',
    async () => {
      const namespace = freshNamespace();
      return reopening(() => redisStore({ url: url(), namespace }), { beforeLast: (store) => store.clear() });
    },
    { persistent: true },
  );
});
