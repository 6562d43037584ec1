import { describe, expect, it, jest } from '@jest/globals';
import { LlmCacheConfigError } from '../../../../lib/core/errors.js';
import { redisStore, type RedisStoreOptions } from '../../../../lib/stores/redis/index.js';
import { redisPlace } from '../../../../lib/stores/redis/redis-options.js';
import { decodeText, encodeText } from '../../../../lib/stores/redis/redis-text.js';
import { adapterOf } from '../../../fixtures/redis/with-redis.js';

const url = 'redis://localhost:6390';
const nodes = [{ host: 'one', port: 26379 }];

const REFUSED: ReadonlyArray<readonly [description: string, options: unknown, message: RegExp]> = [
  ['no options', undefined, /options must be an object/],
  ['no place', {}, /exactly one of the options "url", "cluster" and "sentinel", not none of them/],
  ['two places', { url, cluster: [url] }, /exactly one .* not "url" and "cluster"/],
  ['an empty URL', '', /"url" must be a URL such as 'redis:\/\/localhost:6379'/],
  ['a host and port', 'localhost:6379', /"url" must be a URL/],
  ['another protocol', 'http://localhost', /"url" must be a URL/],
  ['a URL without a host', 'redis://', /"url" must be a URL/],
  ['a path that is no database', 'redis://localhost/cache', /"url" must be a URL/],
  ['a database as a query', 'redis://localhost?db=3', /"url" must be a URL .*without a query/],
  ['a query of a node', { cluster: [`${url}?tls=true`] }, /"cluster" must be a list of nodes.*without a query/],
  ['port 0', 'redis://localhost:0', /"url" must be a URL/],
  ['a list as the URL', { url: [url] }, /"url" must be a URL .*not an array/],
  ['half an escape', 'redis://:%E0%A4%A@localhost', /"url" must be a URL/],
  ['no nodes', { cluster: [] }, /"cluster" must be a list of nodes/],
  ['a node that is no URL', { cluster: [url, 'two'] }, /"cluster" must be a list of nodes/],
  ['a database in a Cluster', { cluster: ['redis://one/1'] }, /"cluster" must be a list of nodes.*without a database/],
  ['a database beside a Cluster', { cluster: [url], database: 2 }, /"database" must be left out with "cluster"/],
  ['a sentinel without a name', { sentinel: { nodes } }, /"sentinel.name" must be a non-empty string/],
  ['a sentinel without nodes', { sentinel: { name: 'mymaster' } }, /"sentinel.nodes" must be a list of/],
  ['a sentinel as a URL', { sentinel: { name: 'mymaster', nodes: ['redis://one'] } }, /"sentinel.nodes" must be a list of/],
  ['a port out of range', { sentinel: { name: 'mymaster', nodes: [{ host: 'one', port: 65_536 }] } }, /"sentinel.nodes" must be a list of/],
  ['an unknown option of sentinel', { sentinel: { name: 'mymaster', nodes, quorum: 2 } }, /unknown option "sentinel.quorum"/],
  ['an empty password', { url, password: '' }, /"password" must be a non-empty string/],
  ['a certificate as tls', { url, tls: 'PEM' }, /"tls" must be true, false or an object/],
  ['a negative database', { url, database: -1 }, /"database" must be a whole number from 0 on/],
  ['an empty namespace', { url, namespace: '' }, /"namespace" must be a non-empty string/],
  ['an unknown option', { url, keyPrefix: 'x' }, /unknown option "keyPrefix".*url, cluster, sentinel/],
];

describe('options of redisStore', () => {
  it.each(REFUSED)('refuses %s', (_description, options, message) => {
    expect(() => redisStore(options as RedisStoreOptions)).toThrow(message);
    expect(() => redisStore(options as RedisStoreOptions)).toThrow(LlmCacheConfigError);
  });

  it.each([{ url: 'redis://:hunter2@host/x' }, { url, password: 4711 }, { url: 'hunter2' }])('shows no password: %j', (options) => {
    expect(() => redisStore(options as RedisStoreOptions)).toThrow(/^(?!.*(?:hunter2|4711))/);
  });

  it('takes what is in the URL', () => {
    expect(redisPlace('rediss://me:p%40ss@[::1]:6380/3')).toEqual({
      kind: 'server',
      nodes: [{ host: '::1', port: 6380 }],
      sentinel: undefined,
      username: 'me',
      password: 'p@ss',
      tls: {},
      database: 3,
      namespace: 'llm-cache',
    });
  });

  it('prefers an option to the URL', () => {
    const place = redisPlace({ url: 'redis://me:old@host/3', username: 'you', password: 'new', database: 0, tls: { servername: 'n' } });
    expect(place).toMatchObject({ username: 'you', password: 'new', database: 0, tls: { servername: 'n' } });
  });

  it('has TLS where it is asked for', () => {
    const tlsOf = (options: RedisStoreOptions) => redisPlace(options).tls;
    expect(tlsOf({ url })).toBeUndefined();
    expect(tlsOf({ url, tls: true })).toEqual({});
    expect(tlsOf({ cluster: ['rediss://one', 'rediss://two'] })).toEqual({});
    expect(tlsOf({ url: 'rediss://one', tls: false })).toBeUndefined();
  });

  it('says what to install when there is no client', async () => {
    jest.resetModules();
    jest.unstable_mockModule('../../../../lib/stores/redis/load-client.cjs', () => ({
      loadClient: () => {
        throw Object.assign(new Error("Cannot find module '@keyv/redis'"), { code: 'MODULE_NOT_FOUND' });
      },
    }));
    const module = await import('../../../../lib/stores/redis/index.js');
    expect(() => module.redisStore(url)).toThrow(/npm i @keyv\/redis@5/);
    expect(() => module.redisStore(url)).toThrow(
      expect.objectContaining({ code: 'LLM_CACHE_CONFIG', cause: expect.objectContaining({ code: 'MODULE_NOT_FOUND' }) }),
    );
  });
});

describe('redisStore before its first use', () => {
  it('has no figures, and is closed without having been opened', async () => {
    const store = redisStore(url);
    expect(adapterOf(store).inspect()).toEqual({ entries: null, maxEntries: null, bytes: null, maxBytes: null });
    await store.disconnect();
  });
});

describe('texts as bytes', () => {
  it.each([
    ['nothing', '', 2],
    ['ASCII', 'plain', 7],
    ['NUL', '\0', 3],
    ['the end of Latin-1', '\u00ff', 3],
    ['what follows Latin-1', '\u0100', 4],
    ['a lone surrogate', '\ud800', 4],
    ['a mark of byte order', '\ufeffa', 6],
    ['a pair', '🦜', 6],
  ])('gives back %s', (_description, text, length) => {
    const bytes = encodeText(text);
    expect(bytes).toHaveLength(length);
    expect(decodeText(bytes)).toBe(text);
  });

  it.each([Buffer.from(''), Buffer.from('=\ntext'), Buffer.from([0xfe]), Buffer.from([0xfe, 0x03, 0x61]), Buffer.from([0xff, 0x01, 0x61])])(
    'does not take %j for its own',
    (bytes) => {
      expect(decodeText(bytes)).toBeUndefined();
    },
  );

  it('does not throw over half a character', () => {
    expect(decodeText(encodeText('a🦜').subarray(0, -1))).toBe('a\ud83e');
  });
});
