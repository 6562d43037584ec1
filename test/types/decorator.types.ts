// Compile-time tests: `npm run typecheck` fails when a line below is accepted that must not be, or the other way round.
import { CacheLlm, type CacheLlmOptions } from 'nestjs-llm-cache';
import type { Observable } from 'rxjs';

const common: CacheLlmOptions = { ttl: '1h' };
const forTexts: CacheLlmOptions<[string]> = { key: (text) => text.trim(), tags: (text) => [text.trim()] };

export class Accepted {
  @CacheLlm(common)
  async withCommonOptions(question: string): Promise<string> {
    return question;
  }

  @CacheLlm()
  async asyncMethod(question: string): Promise<string> {
    return question;
  }

  @CacheLlm()
  promise(question: string, tone?: string, ...more: number[]): Promise<{ question: string; tone?: string; more: number[] }> {
    return Promise.resolve({ question, tone, more });
  }

  @CacheLlm()
  promiseLike(): PromiseLike<number> {
    return Promise.resolve(1);
  }

  @CacheLlm()
  async noAnswer(): Promise<void> {}

  @CacheLlm()
  async generic<T>(value: T): Promise<T> {
    return value;
  }

  overloaded(question: string): Promise<string>;
  overloaded(question: number): Promise<number>;
  @CacheLlm()
  async overloaded(question: string | number): Promise<string | number> {
    return question;
  }

  @CacheLlm()
  async *generator(): AsyncGenerator<string> {
    yield 'a';
  }

  @CacheLlm()
  iterable(): AsyncIterable<string> {
    return this.generator();
  }

  @CacheLlm()
  observable(source: Observable<string>): Observable<string> {
    return source;
  }

  @CacheLlm({ returns: 'readableStream' })
  readable(source: ReadableStream<string>): ReadableStream<string> {
    return source;
  }

  @CacheLlm()
  async [Symbol.for('symbol')](): Promise<number> {
    return 1;
  }

  @CacheLlm()
  // oxlint-disable-next-line typescript/no-explicit-any -- methods typed this way exist
  async anything(argument: any): Promise<any> {
    return argument as unknown;
  }

  @CacheLlm()
  protected async protectedMethod(): Promise<number> {
    return this.privateMethod();
  }

  @CacheLlm()
  private async privateMethod(): Promise<number> {
    return 1;
  }
}

export class Refused {
  // @ts-expect-error a string is not waited for
  @CacheLlm()
  text(): string {
    return 'a';
  }

  // @ts-expect-error nothing is not waited for
  @CacheLlm()
  nothing(): void {}

  // @ts-expect-error an array is not waited for
  @CacheLlm()
  list(): string[] {
    return [];
  }

  // @ts-expect-error a synchronous generator is not waited for
  @CacheLlm()
  *words(): Generator<string> {
    yield 'a';
  }

  // @ts-expect-error sometimes synchronous is synchronous
  @CacheLlm()
  either(): Promise<string> | string {
    return 'a';
  }

  // @ts-expect-error a getter is no method
  @CacheLlm()
  get getter(): Promise<number> {
    return Promise.resolve(1);
  }

  // @ts-expect-error a property is no method
  @CacheLlm()
  property = async (): Promise<number> => 1;
}

export class Options {
  @CacheLlm({
    key: (question: string) => question,
    scope: (_question: string, tenant: number) => tenant,
    tags: (question: string) => [question],
    model: (_question: string, tenant: number) => ({ temperature: tenant }),
    cacheable: (result, { name, stored }) => result !== name && !stored,
  })
  async typedByArguments(question: string, tenant: number): Promise<string> {
    return `${question} ${tenant}`;
  }

  @CacheLlm({ key: (question: string) => question })
  async fewerArguments(question: string, tone: string): Promise<string> {
    return question + tone;
  }

  @CacheLlm({ key: () => 'constant', tags: (question: string) => [question] })
  async noneAndOne(question: string): Promise<string> {
    return question;
  }

  @CacheLlm({ tags: (question: string) => [question], key: () => 'constant' })
  async oneAndNone(question: string): Promise<string> {
    return question;
  }

  @CacheLlm({
    model: (question?: string) => ({ seed: question?.length }),
    key: (question?: string, ...more: number[]) => [question, more],
    scope: () => 'tenant',
    tags: (question: string = '', first: number = 0) => [question, String(first)],
  })
  async ofEveryLength(question?: string, ...more: number[]): Promise<string> {
    return `${question} ${more.join(' ')}`;
  }

  @CacheLlm({
    tags: (question) => [question.trim()],
    key(this: Options, question: string, tenant: number) {
      return [this, question, tenant];
    },
    // @ts-expect-error a number has no such method: the type is the one that `key` names
    scope: (_question, tenant) => tenant.trim() as string,
  })
  async annotatedOnce(question: string, tenant: number): Promise<string> {
    return `${question} ${tenant}`;
  }

  @CacheLlm(forTexts)
  async optionsMadeElsewhere(question: string, tone: string): Promise<string> {
    return question + tone;
  }

  @CacheLlm<[string]>({ key: (question) => question.trim(), tags: (question) => [question.trim()] })
  async namedArguments(question: string): Promise<string> {
    return question;
  }

  // @ts-expect-error the method's second argument is a text: one function that fits does not excuse another
  @CacheLlm({ key: (question: string) => question, tags: (question: string, tenant: number) => [question, `${tenant}`] })
  async oneThatFits(question: string, tenant: string): Promise<string> {
    return question + tenant;
  }

  // @ts-expect-error the options are for texts
  @CacheLlm(forTexts)
  async madeForOthers(question: number): Promise<number> {
    return question;
  }

  // @ts-expect-error what is not waited for stays refused
  @CacheLlm({ key: () => 1, tags: (question: string) => [question] })
  synchronous(question: string): string {
    return question;
  }

  // @ts-expect-error the method's first argument is a number
  @CacheLlm({ key: (question: string) => question.trim() })
  async otherArgument(question: number): Promise<number> {
    return question;
  }

  // @ts-expect-error the method has no second argument
  @CacheLlm({ scope: (_question: string, tenant: number) => tenant })
  async oneArgument(question: string): Promise<string> {
    return question;
  }

  @CacheLlm({ key: () => 'constant', tags: ['a'], model: { model: 'm', deep_thought: 42 }, ttl: '5m', version: 1 })
  async withoutArguments(question: string): Promise<string> {
    return question;
  }
}

export const wrongOptions = [
  // @ts-expect-error no such option
  { tttl: '1h' },
  // @ts-expect-error no duration
  { ttl: 'soon' },
  // @ts-expect-error no such mode
  { pii: { mode: 'redacted' } },
  // @ts-expect-error no such kind
  { returns: 'stream' },
  // @ts-expect-error a scope is a string or a number
  { scope: () => ({}) },
  // @ts-expect-error tags are strings
  { tags: [1] },
] satisfies CacheLlmOptions[];

export const wrongCalls = [
  // @ts-expect-error no such option
  CacheLlm({ tttl: '1h', key: (question: string) => question, tags: () => ['a'] }),
  // @ts-expect-error no duration
  CacheLlm({ ttl: 'soon', key: (question: string) => question, tags: () => ['a'] }),
  // @ts-expect-error tags are strings
  CacheLlm({ key: () => 1, tags: (question: string) => [question.length] }),
  // @ts-expect-error a scope is a string or a number
  CacheLlm({ key: () => 1, scope: (question: string) => [question] }),
  // @ts-expect-error a key is a function
  CacheLlm({ key: 'constant' }),
];
