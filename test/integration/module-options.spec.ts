import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { Keyv } from 'keyv';
import { LlmCache, LlmCacheConfigError, LlmCacheModule, type LlmCacheOptions, memoryStore } from 'nestjs-llm-cache';
import { FakeClock, FakeLlmProvider, LlmCacheTestingModule } from 'nestjs-llm-cache/testing';
import { opened } from '../fixtures/apps.js';

const SECRET = 'sk-live-0123456789abcdef';
const KEY = randomBytes(32).toString('base64');

async function start(options: unknown): Promise<TestingModule> {
  const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot(options as LlmCacheOptions)] }).compile();
  opened(moduleRef);
  return moduleRef;
}

async function failureOf(start_: () => Promise<unknown>): Promise<LlmCacheConfigError> {
  const error: unknown = await start_().then(
    () => new Error('the app started'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LlmCacheConfigError);
  return error as LlmCacheConfigError;
}

const DURATION = /'500ms', '30s', '15m', '12h', '7d'/;
const badDurations = [0, -1, -0, 1.5, NaN, Infinity, -Infinity, '', 'soon', '1', '0s', '-1s', '1.5h', '1 h', ' 1h', '1H', '1w', '1h30m', null, true, {}, [], [1], () => 1, 1n, Symbol('1h')];
const noString = [0, 1, null, true, {}, [], () => 'x', Symbol('x')];
const noFunction = [SECRET, 1, null, true, {}, []];
const noObject = [SECRET, 1, null, true, [], () => ({})];
const provider = new FakeLlmProvider();

/** Every option of `LlmCacheOptions`, what its message must say, and values it refuses. */
const refused: Array<[option: string, accepted: RegExp, values: unknown[]]> = [
  ['mode', /'on' or 'off'/, ['', 'ON', 'true', 'disabled', SECRET, true, false, 0, 1, null, {}, []]],
  ['stores', /a Keyv, a Keyv storage adapter or a cache-manager Cache|a store or an array of stores/, [
    SECRET, 'redis://user:sk-live-0123456789abcdef@host', 1, null, true, () => memoryStore(), {}, [], [null], [undefined], [SECRET], [{}], [[]],
    [memoryStore(), {}], [memoryStore(), SECRET], { get: () => 1 }, { get: 1, set: 1, delete: 1, clear: 1 }, Promise.resolve(memoryStore()), new Date(), Keyv,
    { stores: [], wrap: () => 1 }, { stores: [{}], wrap: () => 1 },
  ]],
  ['namespace', /a non-empty string/, ['', ...noString]],
  ['version', /a non-empty string or a finite number/, ['', NaN, Infinity, -Infinity, null, true, {}, [], () => 1, 1n]],
  ['ttl', new RegExp(`${DURATION.source}.*false`), badDurations],
  ['staleWhileRevalidate', /'7d', or false for not at all/, [0, -1, NaN, Infinity, 'soon', '', null, true, {}, []]],
  ['staleIfError', /'7d', or false for not at all/, [0, -1, NaN, Infinity, 'soon', '', null, true, {}, []]],
  ['jitter', /a number from 0 to 1/, [-0.1, 1.1, NaN, Infinity, '0.1', '', null, true, {}, []]],
  ['model', /an object/, noObject],
  ['provider', /an LlmProvider, such as openAiProvider\(client\): an object with a non-empty string `id` and a function `chat`/, [
    ...noObject, {}, { id: 'x' }, { chat: async () => 1 }, { id: '', chat: async () => 1 }, { id: 1, chat: async () => 1 }, { id: 'x', chat: SECRET },
  ]],
  ['volatile', /an array of non-empty strings/, [SECRET, 1, null, true, {}, [''], [1], [null], ['user', ''], new Set(['user'])]],
  ['scope', /an object with resolve, required|"scope\.resolve" must be a function/, [...noObject, {}, { required: true }, { resolve: SECRET }, { resolve: null }]],
  ['scope.required', /true or false/, ['yes', 1, null, {}].map((required) => ({ scope: { resolve: () => 't', required } }))],
  ['secret', /at least 32 bytes, as a string or a Uint8Array, such as randomBytes\(32\)/, [
    ...noString, '', SECRET, 'ä'.repeat(15), '\ud800'.repeat(32), 12345678901234, new Uint8Array(31), new Uint16Array(32), new ArrayBuffer(32), [SECRET.repeat(2)],
  ]],
  ['encryption', /an object with current, keys|"encryption\.(current|keys)" must be/, [...noObject, KEY, {}, { current: 'a' }, { keys: { a: KEY } }, { current: 1, keys: { a: KEY } }]],
  ['encryption.current', /the name of one of encryption\.keys/, ['b', 'A', 'toString', '__proto__', SECRET].map((current) => ({ encryption: { current, keys: { a: KEY } } }))],
  ['encryption.current', /a non-empty string/, ['', null, 1, undefined].map((current) => ({ encryption: { current, keys: { a: KEY } } }))],
  ['encryption.keys', /an object/, [...noObject, undefined].map((keys) => ({ encryption: { current: 'a', keys } }))],
  ['encryption.keys', /an object whose field names are 1 to 64 letters, digits, "\.", "_" or "-", not (this|an empty) string/, ['', 'a b', 'ä', 'n'.repeat(65), `${SECRET}\n`, `${SECRET}=`].map((name) => (
    { encryption: { current: 'a', keys: { a: KEY, [name]: KEY } } }
  ))],
  ['encryption.keys.b', /32 bytes, as a Uint8Array or as a string in base64/, [
    '', SECRET, SECRET.repeat(2), randomBytes(31).toString('base64'), randomBytes(33).toString('base64'), randomBytes(32).toString('hex'), ` ${KEY}`, `${KEY}\n`, `${KEY}!`,
    new Uint8Array(31), new Uint8Array(33), new Uint32Array(32), null, undefined, 12345678901234, true, {}, [],
  ].map((b) => ({ encryption: { current: 'a', keys: { a: KEY, b } } }))],
  ['cacheable', /a function/, noFunction],
  ['storeTimeout', DURATION, [...badDurations, '25d', false]],
  ['maxEntryBytes', /a positive whole number/, [0, -1, 1.5, NaN, Infinity, '1MB', '1024', null, true, {}, []]],
  ['singleFlight', /an object with timeout/, noObject],
  ['singleFlight.timeout', DURATION, [...badDurations, '25d', false].map((timeout) => ({ singleFlight: { timeout } }))],
  ['singleFlight.lease', DURATION, [...badDurations, '25d', false].map((lease) => ({ singleFlight: { lease } }))],
  ['singleFlight.distributed', /true or false/, ['yes', 1, null, {}].map((distributed) => ({ singleFlight: { distributed } }))],
  ['maxInvalidationDelay', DURATION, [...badDurations, false]],
  ['onAbandon', /'abort' or 'finish'/, [SECRET, '', true, false, 0, null, {}, []]],
  ['warnOnChangedBody', /true or false/, [SECRET, 0, 1, 'yes', null, {}, []]],
];

describe.each(refused)('option %s', (option, accepted, values) => {
  const optionsOf = (value: unknown): unknown => (option.includes('.') ? value : { [option]: value });

  it.each(values.map((value) => [value]))('refuses %p at start-up', async (value) => {
    const { message } = await failureOf(() => start(optionsOf(value)));
    expect(message).toMatch(/^LlmCache(Module)?: /);
    expect(message).toContain(`"${option}`);
    expect(message).toMatch(accepted);
    for (const hidden of [SECRET, KEY, '12345678901234']) expect(message).not.toContain(hidden);
  });

  it('takes undefined for not given', async () => {
    const nested: Record<string, unknown> = {
      'scope.required': { scope: { resolve: () => 't', required: undefined } },
      'singleFlight.timeout': { singleFlight: { timeout: undefined } },
      'singleFlight.distributed': { singleFlight: { distributed: undefined } },
      'singleFlight.lease': { singleFlight: { lease: undefined } },
    };
    if (option.startsWith('encryption.')) return; // each of its fields is needed
    await expect(start(nested[option] ?? { [option]: undefined })).resolves.toBeDefined();
  });
});

describe('an option that does not exist', () => {
  it.each([
    'tttl', 'TTL', 'store', 'redis', 'maxEntries', 'toString', 'constructor', 'hasOwnProperty', '',
    'staleWhileRevalidating', 'staleOnError',
    // of one entry point only
    'clock', 'useFactory', 'inject',
  ])('%p fails at start-up, and the message lists those that do', async (name) => {
    const { message } = await failureOf(() => start({ [name]: SECRET }));
    expect(message).toContain(`unknown option "${name}"`);
    expect(message).toContain('Known options: mode, stores, namespace, version, ttl, jitter, staleWhileRevalidate, staleIfError, model, volatile, scope, secret, encryption, cacheable, storeTimeout, maxInvalidationDelay, maxEntryBytes, singleFlight, onAbandon, pii, warnOnChangedBody, provider');
    expect(message).not.toContain(SECRET);
  });

  it.each([
    ['scope.requried', { scope: { resolve: () => 't', requried: true } }, 'resolve, required'],
    ['encryption.key', { encryption: { current: 'a', keys: { a: KEY }, key: KEY } }, 'current, keys'],
    ['singleFlight.toString', { singleFlight: { toString: 1 } }, 'timeout, distributed, lease'],
  ])('%s fails at start-up', async (name, options, known) => {
    const { message } = await failureOf(() => start(options));
    expect(message).toContain(`unknown option "${name}". Known options: ${known}.`);
  });
});

describe('the same options, however they arrive', () => {
  it('fail through forRootAsync', async () => {
    const useFactory = (): LlmCacheOptions => ({ ttl: 'soon' as never });
    const { message } = await failureOf(() => Test.createTestingModule({ imports: [LlmCacheModule.forRootAsync({ useFactory })] }).compile());
    expect(message).toContain('LlmCacheModule: option "ttl"');
  });

  it('fail through LlmCacheTestingModule', async () => {
    const make = (options: unknown) => Test.createTestingModule({ imports: [LlmCacheTestingModule.forRoot(options as LlmCacheOptions)] }).compile();
    expect((await failureOf(() => make({ ttl: 'soon' }))).message).toContain('"ttl"');
    expect((await failureOf(() => make({ pii: { mode: 'off' } }))).message).toContain('"pii.mode"');
    expect((await failureOf(() => make({ staleIfError: 'soon' }))).message).toContain('"staleIfError"');
  });

  it('fail through `new LlmCache`', () => {
    expect(() => new LlmCache({ ttl: 'soon' as never })).toThrow(LlmCacheConfigError);
    expect(() => new LlmCache({ provider } as never)).toThrow(/unknown option "provider"/);
  });
});

describe('good options', () => {
  it.each<[string, LlmCacheOptions]>([
    ['all at once', {
      mode: 'on', stores: [memoryStore(), new Keyv()], namespace: 'a.b/c d', version: 2, ttl: '7d', jitter: 0, model: { model: 'm' }, provider,
      volatile: ['user'], scope: { resolve: () => 0, required: true }, cacheable: () => true, storeTimeout: '1s', maxEntryBytes: 1, maxInvalidationDelay: '1h',
      singleFlight: { timeout: 1, distributed: false, lease: 1 },
      onAbandon: 'finish', warnOnChangedBody: false,
    }],
    ['the edges', { ttl: 1, jitter: 1, version: 0, storeTimeout: '24d', volatile: [], model: {}, singleFlight: {}, scope: { resolve: () => undefined } }],
    ['a secret of 32 bytes in UTF-8', { secret: 'ä'.repeat(16) }],
    ['a secret and keys as bytes', { secret: randomBytes(32), encryption: { current: 'a', keys: { a: randomBytes(32) } } }],
    ['keys in base64, base64url and without padding', {
      encryption: { current: '2026-01_a.b', keys: { '2026-01_a.b': KEY, url: randomBytes(32).toString('base64url'), bare: KEY.slice(0, 43) } },
    }],
    ['a Map as store', { stores: new Map() as never }],
    ['ttl: false', { ttl: false }],
  ])('%s', async (_case, options) => {
    expect((await start(options)).get(LlmCache)).toBeInstanceOf(LlmCache);
  });

  it('a FakeClock for the testing module', async () => {
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheTestingModule.forRoot({ clock: new FakeClock(0) })] }).compile();
    opened(moduleRef);
    expect(moduleRef.get(LlmCache).stats().hits).toBe(0);
  });
});
