import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { CacheLlm, LlmCache, withCacheControl } from 'nestjs-llm-cache';
import { deferred, settled } from '../fixtures/deferred.js';
import { startWith as start } from '../fixtures/apps.js';

@Injectable()
class Tree {
  readonly runs: string[] = [];

  @CacheLlm()
  async fibonacci(n: number): Promise<number> {
    this.runs.push(`fibonacci ${n}`);
    return n < 2 ? n : (await this.fibonacci(n - 1)) + (await this.fibonacci(n - 2));
  }

  /** Refines its own answer: calls itself with what is, to the key, the same question. */
  @CacheLlm({ key: (question: string) => question })
  async refine(question: string, draft?: string): Promise<string> {
    this.runs.push(`refine ${draft ?? 'from nothing'}`);
    return draft === undefined ? `refined ${await this.refine(question, 'draft')}` : draft;
  }
}

describe('recursion', () => {
  it('with other arguments is cached at every step', async () => {
    const moduleRef = await start(Tree);
    const tree = moduleRef.get(Tree);
    expect(await tree.fibonacci(12)).toBe(144);
    expect(tree.runs).toHaveLength(13);
    expect(await tree.fibonacci(12)).toBe(144);
    expect(tree.runs).toHaveLength(13);
  });

  it('with the same arguments runs uncached instead of waiting for itself', async () => {
    const moduleRef = await start(Tree);
    const tree = moduleRef.get(Tree);
    const seen: string[] = [];
    moduleRef.get(LlmCache).on((event) => 'outcome' in event && seen.push(`${event.type} ${event.outcome.reason ?? ''}`.trim()));
    expect(await tree.refine('q')).toBe('refined draft');
    expect(await tree.refine('q')).toBe('refined draft');
    expect(tree.runs).toEqual(['refine from nothing', 'refine draft']);
    expect(seen).toEqual(['bypass reentrant', 'miss', 'hit']);
  });

  it('with the same arguments stores the outer answer, not the inner one, when both are to be fresh', async () => {
    const tree = (await start(Tree)).get(Tree);
    expect(await withCacheControl({ noCache: true }, () => tree.refine('q'))).toBe('refined draft');
    expect(await tree.refine('q')).toBe('refined draft');
    expect(tree.runs).toHaveLength(2);
  });

  it('through another provider with the same arguments ends as well', async () => {
    @Injectable()
    class Editor {
      writer!: { write(topic: string, depth: number): Promise<string> };

      @CacheLlm({ key: (topic: string) => topic })
      async edit(topic: string, depth: number): Promise<string> {
        return `edit(${await this.writer.write(topic, depth + 1)})`;
      }
    }
    @Injectable()
    class Writer {
      constructor(readonly editor: Editor) {
        editor.writer = this;
      }

      @CacheLlm({ key: (topic: string) => topic })
      async write(topic: string, depth: number): Promise<string> {
        return depth > 2 ? `text on ${topic}` : `write(${await this.editor.edit(topic, depth)})`;
      }
    }
    const writer = (await start(Editor, Writer)).get(Writer);
    const whole = 'write(edit(write(edit(text on x))))';
    expect(await writer.write('x', 1)).toBe(whole);
    expect(await writer.write('x', 1)).toBe(whole);
  });
});

describe('mutual recursion at the same time', () => {
  @Injectable()
  class Pair {
    readonly bothRunning = deferred();
    readonly gates = { f: deferred(), g: deferred() };
    runs = 0;

    @CacheLlm({ key: (topic: string) => topic })
    async f(topic: string, depth: number): Promise<string> {
      this.runs++;
      if (depth > 1) return 'f';
      await this.gates.f.promise;
      return `f(${await this.g(topic, depth + 1)})`;
    }

    @CacheLlm({ key: (topic: string) => topic })
    async g(topic: string, depth: number): Promise<string> {
      this.runs++;
      if (depth > 1) return 'g';
      await this.gates.g.promise;
      return `g(${await this.f(topic, depth + 1)})`;
    }
  }

  it.each([
    ['f first', ['f', 'g']],
    ['g first', ['g', 'f']],
  ] as const)('does not wait in a circle, %s', async (_order, [first, second]) => {
    const pair = (await start(Pair)).get(Pair);
    // Both are under way before either calls the other: f(1) -> g(1) while g(1) -> f(1).
    const both = Promise.all([pair.f('x', 1), pair.g('x', 1)]);
    pair.gates[first].resolve();
    await settled();
    pair.gates[second].resolve();
    expect(await both).toEqual(first === 'f' ? ['f(g(f))', 'g(f)'] : ['f(g)', 'g(f(g))']);
  });

  it('does not wait in a circle of three', async () => {
    @Injectable()
    class Three {
      readonly gate = deferred();

      private async next(step: (n: number) => Promise<string>, depth: number): Promise<string> {
        if (depth > 1) return 'end';
        await this.gate.promise;
        return step.call(this, depth + 1);
      }

      @CacheLlm({ key: () => 1 })
      async a(depth: number): Promise<string> {
        return `a ${await this.next(this.b, depth)}`;
      }

      @CacheLlm({ key: () => 1 })
      async b(depth: number): Promise<string> {
        return `b ${await this.next(this.c, depth)}`;
      }

      @CacheLlm({ key: () => 1 })
      async c(depth: number): Promise<string> {
        return `c ${await this.next(this.a, depth)}`;
      }
    }
    const three = (await start(Three)).get(Three);
    const all = Promise.all([three.a(1), three.b(1), three.c(1)]);
    three.gate.resolve();
    const [a, b, c] = await all;
    expect([a, b, c]).toEqual([expect.stringMatching(/^a b .*end$/), expect.stringMatching(/^b c .*end$/), expect.stringMatching(/^c a .*end$/)]);
  });

  it('still shares what does not close a circle', async () => {
    const gate = deferred();
    @Injectable()
    class Shared {
      runs = 0;

      @CacheLlm()
      async outer(name: string): Promise<string> {
        return `${name} of ${await this.inner('x')}`;
      }

      @CacheLlm()
      async inner(topic: string): Promise<string> {
        this.runs++;
        await gate.promise;
        return topic;
      }
    }
    const shared = (await start(Shared)).get(Shared);
    const both = Promise.all([shared.outer('one'), shared.outer('two')]);
    gate.resolve();
    expect(await both).toEqual(['one of x', 'two of x']);
    expect(shared.runs).toBe(1);
  });
});
