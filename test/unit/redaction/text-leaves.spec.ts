import { describe, expect, it } from '@jest/globals';
import { TextLeaves, Unreplaceable } from '../../../lib/redaction/text-leaves.js';

/** A value of many shapes. */
type Loose = ReturnType<typeof JSON.parse>;

const seen = (value: unknown): string[] => new TextLeaves(value).leaves.map(({ text }) => text);
const shouted = <T>(value: T, which?: 'all'): T => {
  const leaves = new TextLeaves(value, which);
  return leaves.replace((index) => leaves.leaves[index]!.text.toUpperCase()) as T;
};

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value) && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(frozen);
  }
  return value;
}

const BASE64 = 'iVBORw0KGgoAAAANSUhEUgAA+/8=';
const IMAGE = `data:image/png;base64,${BASE64}`;

/** Texts of somebody are written `seen …`; all other texts must not be seen, but for those of a schema. */
const requests: Record<string, unknown> = {
  'OpenAI chat': {
    model: 'gpt-5', temperature: 0, user: 'seen user',
    messages: [
      { role: 'system', content: 'seen system', name: 'seen name' },
      { role: 'user', content: [{ type: 'text', text: 'seen part' }, { type: 'image_url', image_url: { url: IMAGE, detail: 'low' } }, { type: 'input_audio', input_audio: { data: BASE64, format: 'wav' } }, { type: 'file', file: { file_id: 'file-1' } }] },
      { role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'seen tool', arguments: '{"to":"seen argument"}' } }] },
      { role: 'tool', tool_call_id: 'call_1', content: 'seen result' },
    ],
    tools: [{ type: 'function', function: { name: 'seen tool', description: 'seen description', parameters: { properties: { to: { description: 'seen field' } } } } }],
    response_format: { type: 'json_schema', json_schema: { name: 'seen schema' } },
  },
  Anthropic: {
    model: 'claude', max_tokens: 9, system: [{ type: 'text', text: 'seen system', cache_control: {} }],
    messages: [
      { role: 'user', content: [{ type: 'image', source: { media_type: 'image/png', data: BASE64 } }, { type: 'tool_result', tool_use_id: 'toolu_1', content: 'seen result' }] },
      { role: 'assistant', content: [{ type: 'thinking', thinking: 'seen thought', signature: BASE64 }, { type: 'redacted_thinking', data: BASE64 }, { type: 'tool_use', id: 'toolu_1', name: 'seen tool', input: { to: 'seen input', nested: [{ at: 'seen nested' }] } }] },
    ],
    tools: [{ name: 'seen tool', description: 'seen description' }],
  },
  Gemini: {
    model: 'gemini', systemInstruction: { parts: [{ text: 'seen system' }] },
    contents: [{ role: 'user', parts: [{ text: 'seen text' }, { inlineData: { mimeType: 'image/png', data: BASE64 } }, { functionCall: { name: 'seen call', args: { to: 'seen argument' } }, thoughtSignature: BASE64 }] }],
  },
  Responses: {
    model: 'gpt-5', instructions: 'seen instructions', previous_response_id: 'resp_1',
    input: [{ role: 'user', content: [{ type: 'input_text', text: 'seen input' }, { type: 'input_image', image_url: IMAGE }] }, { type: 'function_call', call_id: 'call_1', name: 'seen tool', arguments: '{"a":"seen argument"}' }, { type: 'function_call_output', call_id: 'call_1', output: 'seen output' }, { type: 'reasoning', id: 'rs_1', encrypted_content: BASE64 }],
  },
  'a method\'s arguments': [
    'seen text', 7, true, null, undefined, 12n, { customer: { mail: 'seen mail', 'seen key': 1 }, id: 'seen id' },
    { role: 'user', id: 'seen account', name: 'seen name' }, { signature: 'seen signature', data: 'seen data', file_data: 'seen file' }, { format: 'seen format', data: 'seen, rows' },
    'data:seen;base64, and seen words',
  ],
};

/** Words of protocols that are texts where nothing says that they are not. */
const HARMLESS = /^(?:low|user|wav|image\/png)$/;

describe('the texts of a value', () => {
  it.each(Object.entries(requests))('are all that somebody wrote, and no names, ids and bytes: %s', (_name, request) => {
    const texts = seen(request);
    const all = new TextLeaves(request, 'all').leaves.map(({ text }) => text).filter((text) => text.includes('seen'));
    expect(texts.filter((text) => !text.includes('seen') && !HARMLESS.test(text))).toEqual([]);
    expect(texts.filter((text) => text.includes('seen')).toSorted()).toEqual(all.toSorted());
    expect(all.length).toBeGreaterThan(3);
  });

  it.each(Object.entries(requests))('are replaced in a copy; the given one may be frozen: %s', (_name, request) => {
    frozen(request);
    const before = new TextLeaves(request, 'all').leaves.map(({ text }) => text);
    const copy = shouted(request);
    expect(new TextLeaves(copy, 'all').leaves.some(({ text }) => text.includes('seen'))).toBe(false);
    expect(new TextLeaves(request, 'all').leaves.map(({ text }) => text)).toEqual(before);
    expect(JSON.stringify(copy, plainly).toLowerCase()).toBe(JSON.stringify(request, plainly).toLowerCase());
  });

  it('stay, and so does the very object, where none is replaced', () => {
    const request = { messages: [{ content: 'A' }], when: new Date(0) };
    expect(shouted(request)).toBe(request);
    const partly = { kept: { a: 'A' }, changed: { b: 'b' } };
    expect(shouted(partly).kept).toBe(partly.kept);
  });

  it('come with the way to them', () => {
    const value = { b: ['x', { c: 'y' }], a: new Map([['k', 'v']]), s: new Set(['m']), 'k y': 1 };
    expect(new TextLeaves(value).leaves.map(({ text, path, field }) => [text, path, field])).toEqual([
      ['k y', ['k y'], undefined], ['k', ['a', 0], 0], ['v', ['a', 1], 1], ['x', ['b', 0], 0], ['y', ['b', 1, 'c'], 'c'], ['m', ['s', 0], 0],
    ]);
    expect(new TextLeaves('x').leaves).toEqual([{ text: 'x', path: [], field: undefined }]);
  });

  it('are in the same order, however the fields are', () => {
    expect(seen({ b: 'b', a: { d: 'd', c: 'c' }, e: ['e'] })).toEqual(seen({ e: ['e'], a: { c: 'c', d: 'd' }, b: 'b' }));
  });
});

describe('a copy with other texts', () => {
  it('has what it had: maps, sets, dates, bytes, holes, prototypes, the order of fields', () => {
    class Ticket {
      constructor(readonly text: string) {}
      get loud(): string {
        return `${this.text}!`;
      }
    }
    const [when, bytes, pattern] = [new Date(0), Buffer.from('abc'), /abc/g];
    const holes: unknown[] = ['x'];
    holes[2] = 'y';
    holes.length = 5;
    const given = frozen({ z: 'z', map: new Map<unknown, unknown>([['k', { v: 'v' }]]), set: new Set(['m', 1]), when, bytes, pattern, holes, ticket: new Ticket('t'), bare: Object.assign(Object.create(null) as object, { a: 'a' }), none: undefined, a: 'a' });
    const copy = shouted(given);
    expect(Object.keys(copy)).toEqual(Object.keys(given));
    expect([...copy.map]).toEqual([['K', { v: 'V' }]]);
    expect([...copy.set]).toEqual(['M', 1]);
    expect([copy.when, copy.bytes, copy.pattern]).toEqual([when, bytes, pattern]);
    expect(copy.bytes).toBe(bytes);
    expect([copy.holes.length, 1 in copy.holes, copy.holes[0], copy.holes[2]]).toEqual([5, false, 'X', 'Y']);
    expect([copy.ticket.loud, copy.ticket instanceof Ticket]).toEqual(['T!', true]);
    expect(Object.getPrototypeOf(copy.bare)).toBeNull();
    expect('none' in copy).toBe(true);
    expect([...given.map.keys()]).toEqual(['k']);
  });

  it('has other keys where they are data', () => {
    expect(Object.entries(shouted({ 'jane@x.com': 'a', jane: 'b' }))).toEqual([['JANE@X.COM', 'A'], ['jane', 'B']]);
    expect(Object.keys(shouted({ role: 'user', content: 'x', 'jane@x.com': 1 }))).toContain('JANE@X.COM');
  });

  it('has its own field __proto__ and no other prototype', () => {
    const copy = shouted(JSON.parse('{"__proto__":{"text":"a"},"constructor":"b"}') as object);
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
    expect(JSON.stringify(copy)).toBe('{"__proto__":{"text":"A"},"constructor":"B"}');
    expect(({} as { text?: unknown }).text).toBeUndefined();
  });

  it('has cycles and shared objects where they were, each looked at once', () => {
    const shared = { text: 'a' };
    const given: { self?: unknown; list: unknown[] } = { list: [shared, shared] };
    given.self = given;
    expect(seen(given)).toEqual(['a']);
    const copy = shouted(given);
    expect(copy.self).toBe(copy);
    expect(copy.list).toEqual([{ text: 'A' }, { text: 'A' }]);
    expect(copy.list[0]).toBe(copy.list[1]);
    expect(shared.text).toBe('a');
  });

  it('keeps its texts where they are hidden and in an answer: nothing of it can be put back', () => {
    class Message {
      constructor(public content: string) {}
      toJSON(): object {
        return { kwargs: this.content };
      }
    }
    const [message, url] = [new Message('a'), new URL('https://a.test/')];
    const copy = shouted({ message, url }, 'all');
    expect([copy.message.content, copy.message instanceof Message, copy.url]).toEqual(['A', true, url]);
  });
});

describe('objects that hide their texts', () => {
  const hiding: Record<string, object> = {
    'a URL': new URL('https://a.test/?mail=seen'),
    'the fields of a URL': new URLSearchParams('mail=seen'),
    'an instance with toJSON': new (class { #text = 'seen'; toJSON(): string { return this.#text; } })(),
    'an instance whose toJSON gives an object': new (class { toJSON(): object { return { deep: ['seen'] }; } })(),
    'an error': new Error('seen'),
    'an error with a cause': new Error('', { cause: { text: 'seen' } }),
    'a boxed text': Object('seen') as object,
  };

  it.each(Object.entries(hiding))('are looked into and cannot be altered: %s', (_name, object) => {
    expect(seen({ object }).some((text) => text.includes('seen'))).toBe(true);
    expect(() => shouted({ object })).toThrow(Unreplaceable);
    const leaves = new TextLeaves({ object });
    expect(leaves.replace((index) => leaves.leaves[index]!.text)).toEqual({ object });
  });

  it('such as instances with private fields alone are passed over, and stay the same', () => {
    class Secretive {
      #text = 'unseen';
      show = (): string => this.#text;
    }
    const [secretive, signal, promise] = [new Secretive(), new AbortController().signal, Promise.resolve('unseen')];
    const copy = shouted({ secretive, signal, promise, text: 'a' });
    expect(copy).toEqual({ secretive, signal, promise, text: 'A' });
    expect(copy.secretive.show()).toBe('unseen');
  });

  it('fail as their getters do', () => {
    const given = { get text(): string { throw new RangeError('no'); } };
    expect(() => seen(given)).toThrow(RangeError);
  });
});

describe('large values', () => {
  const nested = (depth: number): unknown => {
    let value: unknown = { text: 'a' };
    for (let level = 0; level < depth; level++) value = level % 2 === 0 ? { value } : [value];
    return value;
  };

  it('may be 90 000 levels deep', () => {
    const leaves = new TextLeaves(nested(90_000));
    expect(leaves.leaves[0]!.path).toHaveLength(90_001);
    let value = leaves.replace(() => 'A') as Loose;
    while (value.text === undefined) value = Array.isArray(value) ? value[0] : value.value;
    expect(value.text).toBe('A');
  });

  it('may hold lists of very many numbers, texts and the same object', () => {
    const shared = { text: 'a' };
    const given = { vector: Array.from({ length: 300_000 }, (_, index) => index), texts: Array.from({ length: 100_000 }, () => 'a'), shared: Array.from({ length: 100_000 }, () => shared) };
    const startedAt = performance.now();
    const copy = shouted(given);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect([copy.vector, copy.texts.at(-1), copy.shared.at(-1)]).toEqual([given.vector, 'A', { text: 'A' }]);
    expect(copy.shared[0]).toBe(copy.shared.at(-1));
  });

  it('are refused above 100 000 objects, in words without their texts', () => {
    const objects = (count: number): unknown => Array.from({ length: count - 1 }, () => ({ text: 'seen' }));
    expect(seen(objects(100_000))).toHaveLength(99_999);
    expect(() => seen(objects(100_001))).toThrow(/^was given more objects than it looks through$/);
  });
});

/** What JSON leaves out. */
function plainly(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value;
}
