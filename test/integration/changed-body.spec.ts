import { describe, expect, it } from '@jest/globals';
import { Injectable, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Keyv } from 'keyv';
import { CacheLlm, LlmCache, LlmCacheModule, type CacheLlmOptions, type LlmCacheOptions } from 'nestjs-llm-cache';
import { bodyDigest } from '../../lib/decorator/method-body.js';
import { opened } from '../fixtures/apps.js';

interface Tickets {
  summary(ticket: string): Promise<string>;
}

type Release = (options?: CacheLlmOptions) => Type<Tickets>;

const monday: Release = (options) => {
  @Injectable()
  class TicketsService implements Tickets {
    @CacheLlm(options)
    async summary(ticket: string): Promise<string> {
      return `In one sentence: ${ticket}`;
    }
  }
  return TicketsService;
};

/** The same method with another prompt. */
const tuesday: Release = (options) => {
  @Injectable()
  class TicketsService implements Tickets {
    @CacheLlm(options)
    async summary(ticket: string): Promise<string> {
      return `In two sentences: ${ticket}`;
    }
  }
  return TicketsService;
};

/** The method of Monday, moved and renamed. */
const renamed: Release = (options) => {
  @Injectable()
  class SupportService implements Tickets {
    @CacheLlm(options)
    async shorten(ticket: string): Promise<string> {
      return `In one sentence: ${ticket}`;
    }

    summary(ticket: string): Promise<string> {
      return this.shorten(ticket);
    }
  }
  return SupportService;
};

const WARNING = 'the body of TicketsService.summary changed since these entries were written; bump `version`';

/** Starts a release of an app over a store that outlives it. */
async function deploy(store: Keyv, release: Type<Tickets>, options: LlmCacheOptions = {}) {
  const moduleRef = await Test.createTestingModule({
    imports: [LlmCacheModule.forRoot({ stores: store, ...options })],
    providers: [release],
  }).compile();
  const llmCache = opened(await moduleRef.init()).get(LlmCache);
  const warnings: string[] = [];
  const hits: string[] = [];
  llmCache.on((event) => {
    if (event.type === 'warning') warnings.push(event.message);
    if (event.type === 'hit') hits.push(event.name);
  });
  return { tickets: moduleRef.get(release), llmCache, warnings, hits };
}

describe('a hit on an entry that another body wrote', () => {
  it('is served, and said once', async () => {
    const store = new Keyv();
    const before = await deploy(store, monday());
    for (const ticket of ['a', 'b']) await before.tickets.summary(ticket);

    const after = await deploy(store, tuesday());
    expect(await after.tickets.summary('a')).toBe('In one sentence: a');
    expect(await after.tickets.summary('b')).toBe('In one sentence: b');
    expect(after.hits).toHaveLength(2);
    expect(after.warnings).toEqual([WARNING]);
    expect(before.warnings).toEqual([]);
  });

  it('is silent once `version` is bumped, as the warning asks', async () => {
    const store = new Keyv();
    await (await deploy(store, monday())).tickets.summary('a');
    const after = await deploy(store, tuesday({ version: 2 }));
    expect(await after.tickets.summary('a')).toBe('In two sentences: a');
    expect(await after.tickets.summary('a')).toBe('In two sentences: a');
    expect(after.warnings).toEqual([]);
  });

  it('is silent with `warnOnChangedBody: false`', async () => {
    const store = new Keyv();
    await (await deploy(store, monday())).tickets.summary('a');
    const after = await deploy(store, tuesday(), { warnOnChangedBody: false });
    expect(await after.tickets.summary('a')).toBe('In one sentence: a');
    expect(after.warnings).toEqual([]);
  });

  it('is remembered with `warnOnChangedBody: false`, for a release that turns it on', async () => {
    const store = new Keyv();
    await (await deploy(store, monday(), { warnOnChangedBody: false })).tickets.summary('a');
    const after = await deploy(store, tuesday());
    await after.tickets.summary('a');
    expect(after.warnings).toEqual([WARNING]);
  });
});

describe('what is no change of the body', () => {
  it('the same code, deployed again', async () => {
    const store = new Keyv();
    await (await deploy(store, monday())).tickets.summary('a');
    const after = await deploy(store, monday());
    await after.tickets.summary('a');
    expect(after.hits).toHaveLength(1);
    expect(after.warnings).toEqual([]);
  });

  it('another name for the method, under the same `name`', async () => {
    const store = new Keyv();
    await (await deploy(store, monday({ name: 'summary' }))).tickets.summary('a');
    const after = await deploy(store, renamed({ name: 'summary' }));
    await after.tickets.summary('a');
    expect(after.hits).toEqual(['summary']);
    expect(after.warnings).toEqual([]);
  });

  it('an entry that `wrap` wrote under the name of the method', async () => {
    const store = new Keyv();
    const { llmCache, tickets } = await deploy(store, monday());
    const parts = llmCache.partsOf(tickets, 'summary', ['a']);
    await llmCache.wrap(parts, () => 'by hand');
    const after = await deploy(store, tuesday());
    expect(await after.tickets.summary('a')).toBe('by hand');
    expect(after.warnings).toEqual([]);
  });

  it('a hit that `wrap` gets on an entry of the method', async () => {
    const store = new Keyv();
    const { llmCache, tickets, warnings } = await deploy(store, monday());
    await tickets.summary('a');
    expect(await llmCache.wrap(llmCache.partsOf(tickets, 'summary', ['a']), () => 'by hand')).toBe('In one sentence: a');
    expect(warnings).toEqual([]);
  });
});

describe('the digest of a body', () => {
  const methods = {
    one: async (ticket: string) => `one ${ticket}`,
    oneAgain: async (ticket: string) => `one ${ticket}`,
    two: async (ticket: string) => `two ${ticket}`,
    spaced: async (ticket: string) => `one  ${ticket}`,
  };

  it('is the same for the same text', () => expect(bodyDigest(methods.oneAgain)).toBe(bodyDigest(methods.one)));

  it.each(['two', 'spaced'] as const)('differs for `%s`', (name) => expect(bodyDigest(methods[name])).not.toBe(bodyDigest(methods.one)));

  it('shows nothing of the code', () => expect(bodyDigest(methods.one)).toMatch(/^[\w-]{16}$/));

  it.each<[string, (...args: never[]) => unknown]>([
    ['a bound function', methods.one.bind(undefined)],
    ['a built-in', Math.max],
  ])('%s has none', (_case, method) => expect(bodyDigest(method)).toBeUndefined());
});
