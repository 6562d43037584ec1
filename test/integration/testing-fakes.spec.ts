import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { type ChatRequest, LlmCache, LlmCacheConfigError, LlmService } from 'nestjs-llm-cache';
import { FakeClock, FakeLlmProvider, LlmCacheTestingModule } from 'nestjs-llm-cache/testing';

const open: TestingModule[] = [];

afterEach(async () => {
  jest.useRealTimers();
  for (const moduleRef of open.splice(0)) await moduleRef.close();
});

const call = () => ({ signal: new AbortController().signal });
const request = (content: string): ChatRequest => ({ messages: [{ role: 'user', content }] });

describe('FakeLlmProvider', () => {
  it('answers without a script, and keeps a journal', async () => {
    const provider = new FakeLlmProvider();
    const given = request('hello');
    const { choices, usage } = await provider.chat(given, call());
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { role: 'assistant', content: 'Answer to: hello' } });
    expect(usage!.total_tokens).toBe(usage!.prompt_tokens! + usage!.completion_tokens!);
    given.messages[0]!.content = 'changed later';
    expect(provider.calls).toEqual([request('hello')]);
  });

  it('follows its script, then repeats the last answer', async () => {
    const failure = new Error('down');
    const whole = { choices: [{ finish_reason: 'length', message: { content: 'cut' } }] };
    const provider = new FakeLlmProvider('one', failure, whole, ({ messages }) => `${messages.length} message`);
    const texts: unknown[] = [];
    for (let index = 0; index < 5; index++) {
      const answer = await provider.chat(request('q'), call()).catch((error: unknown) => error);
      texts.push(answer instanceof Error ? answer : (answer as typeof whole).choices[0]!.message.content);
    }
    expect(texts).toEqual(['one', failure, 'cut', '1 message', '1 message']);
  });

  it('gives every caller a response of its own', async () => {
    const whole = { choices: [{ finish_reason: 'stop', message: { content: 'a' } }] };
    const provider = new FakeLlmProvider(whole);
    expect(await provider.chat(request('q'), call())).not.toBe(whole);
  });

  it('rejects with the reason of an abort, at once', async () => {
    const controller = new AbortController();
    const asking = new FakeLlmProvider(() => new Promise<string>(() => undefined)).chat(request('q'), controller);
    controller.abort('left');
    await expect(asking).rejects.toBe('left');
    await expect(new FakeLlmProvider('a').chat(request('q'), { signal: AbortSignal.abort('before') })).rejects.toBe('before');
  });
});

describe('FakeClock', () => {
  it('stands still until it is moved, and runs timers in order', () => {
    const clock = new FakeClock(1_000);
    const startedAt = clock.monotonic();
    const ran: string[] = [];
    clock.after(20, () => ran.push(`b at ${clock.now()}`));
    clock.after(10, () => clock.after(5, () => ran.push(`a at ${clock.now()}`)));
    const cancel = clock.after(30, () => ran.push('cancelled'));
    expect(clock.now()).toBe(1_000);
    cancel();
    clock.advance('1s');
    expect(ran).toEqual(['a at 1015', 'b at 1020']);
    expect([clock.now(), clock.monotonic() - startedAt]).toEqual([2_000, 1_000]);
  });

  it.each([0, -1, NaN, 'soon', undefined])('refuses to advance by %p', (by) => {
    expect(() => new FakeClock().advance(by as number)).toThrow(LlmCacheConfigError);
  });

  it.each([5_000, 500])('setNow(%i) corrects the wall clock, without timers and without touching durations', (nowMs) => {
    const clock = new FakeClock(1_000);
    const startedAt = clock.monotonic();
    let ran = false;
    clock.after(10, () => (ran = true));
    clock.setNow(nowMs);
    expect([clock.now(), clock.monotonic()]).toEqual([nowMs, startedAt]);
    expect(ran).toBe(false);
  });
});

describe('LlmCacheTestingModule without a clock', () => {
  it('expires under Jest\'s fake timers', async () => {
    jest.useFakeTimers();
    const provider = new FakeLlmProvider('a');
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheTestingModule.forRoot({ provider, ttl: '1h' })] }).compile();
    open.push(moduleRef);
    const llm = moduleRef.get(LlmService);
    await llm.text('q');
    jest.advanceTimersByTime(3_600_000 - 1);
    await llm.text('q');
    expect(provider.calls).toHaveLength(1);
    jest.advanceTimersByTime(1);
    await llm.text('q');
    expect(provider.calls).toHaveLength(2);
  });

  it('has no timer of its own', async () => {
    jest.useFakeTimers();
    const moduleRef = await Test.createTestingModule({ imports: [LlmCacheTestingModule.forRoot()] }).compile();
    open.push(moduleRef);
    await moduleRef.get(LlmCache).wrap({ name: 'n', input: 1 }, () => 1);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('gives every module a store of its own', async () => {
    const modules = await Promise.all(
      [1, 2].map(() => Test.createTestingModule({ imports: [LlmCacheTestingModule.forRoot()] }).compile()),
    );
    open.push(...modules);
    const answers = [];
    for (const [index, moduleRef] of modules.entries()) {
      answers.push(await moduleRef.get(LlmCache).wrap({ name: 'n', input: 1 }, () => index));
    }
    expect(answers).toEqual([0, 1]);
  });
});
