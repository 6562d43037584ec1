import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { BatchProgress } from 'nestjs-llm-cache';
import { progressLine, timeSpan } from '../../../lib/cli/progress-line.js';
import { Terminal } from '../../../lib/cli/terminal.js';

const progress = (fields: Partial<BatchProgress> = {}): BatchProgress => ({ done: 0, hits: 0, coalesced: 0, failures: 0, perSecond: 0, ...fields });

describe('progressLine', () => {
  it.each<[Partial<BatchProgress>, string]>([
    [{ done: 1_200, total: 10_000, hits: 310, failures: 2, perSecond: 95.3, remainingMs: 92_400 }, '1,200 of 10,000 · 310 hits · 2 failed · 95/s · 1 m 32 s left'],
    [{ done: 3, total: 4, coalesced: 1, perSecond: 0.5, remainingMs: 2_000 }, '3 of 4 · 0 hits · 1 shared · 0.5/s · 2.0 s left'],
    [{ done: 4, total: 4, hits: 4, perSecond: 2_000, remainingMs: 0 }, '4 of 4 · 4 hits · 2,000/s'],
    [{ done: 7, perSecond: 1 }, '7 done · 0 hits · 1.0/s'],
  ])('%j', (fields, expected) => expect(progressLine(progress(fields))).toBe(expected));

  it.each([[0, '0.0 s'], [940, '0.9 s'], [9_949, '9.9 s'], [9_950, '10 s'], [59_600, '1 m 0 s'], [3_599_000, '59 m 59 s'], [3_600_000, '1 h 0 m'], [90_061_000, '25 h 1 m']])(
    'timeSpan(%i)',
    (ms, expected) => expect(timeSpan(ms)).toBe(expected),
  );
});

/** What a terminal shows is the last of the lines drawn over each other. */
class Screen {
  written = '';
  readonly isTTY = true;
  readonly columns = 100;

  write(text: string): boolean {
    this.written += text;
    return true;
  }

  get lines(): string[] {
    const escape = String.fromCharCode(27);
    const others = new RegExp(`${escape}(?:\\[[\\d?;]*[A-Za-z]|[78])`, 'g');
    return this.written.replaceAll(`${escape}[1G`, '\r').replaceAll(others, '').split('\n').map((line) => line.split('\r').at(-1)!);
  }
}

describe('Terminal', () => {
  let nowMs: number;
  let screen: Screen;
  const open = (options: { quiet?: boolean; bar?: boolean } = {}): Terminal => new Terminal(screen, { quiet: false, bar: false, now: () => nowMs, ...options });

  beforeEach(() => {
    nowMs = 0;
    screen = new Screen();
    jest.useFakeTimers();
  });
  afterEach(() => void jest.useRealTimers());

  it('without a bar says every five seconds how far it is', () => {
    const terminal = open();
    for (let done = 1; done <= 120; done++) {
      nowMs += 100;
      terminal.progress(progress({ done, total: 120 }));
    }
    terminal.end();
    expect(screen.lines).toEqual(['50 of 120 · 0 hits · 0.0/s', '100 of 120 · 0 hits · 0.0/s', '']);
  });

  it('that is quiet says what went wrong alone', () => {
    for (const bar of [false, true]) {
      const terminal = open({ quiet: true, bar });
      nowMs = 60_000;
      terminal.progress(progress({ done: 1, total: 2 }));
      terminal.note('a summary');
      terminal.say('line 3: not JSON');
      terminal.end();
    }
    expect(screen.written).toBe('line 3: not JSON\nline 3: not JSON\n');
  });

  it('draws a bar over itself, and leaves the last line when it ends', () => {
    const terminal = open({ bar: true });
    for (let done = 1; done <= 4; done++) {
      terminal.progress(progress({ done, total: 4, hits: done }));
      jest.advanceTimersByTime(500);
    }
    expect(screen.lines).toEqual([`${'█'.repeat(24)} 4 of 4 · 4 hits · 0.0/s`]);
    terminal.end();
    expect(screen.lines).toEqual(['4 of 4 · 4 hits · 0.0/s', '']);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('shows half of the bar at half of the way', () => {
    const terminal = open({ bar: true });
    terminal.progress(progress({ done: 2, total: 4 }));
    jest.advanceTimersByTime(500);
    expect(screen.lines.at(-1)).toBe(`${'█'.repeat(12)}${'░'.repeat(12)} 2 of 4 · 0 hits · 0.0/s`);
    terminal.end();
  });

  it('draws no bar while nobody knows the whole', () => {
    const terminal = open({ bar: true });
    terminal.progress(progress({ done: 2 }));
    jest.advanceTimersByTime(500);
    expect(screen.lines.at(-1)).toBe('2 done · 0 hits · 0.0/s');
    terminal.end();
  });

  it('puts messages above the bar', () => {
    const terminal = open({ bar: true });
    terminal.progress(progress({ done: 1, total: 2 }));
    terminal.say('line 3: not JSON');
    jest.advanceTimersByTime(500);
    expect(screen.lines).toEqual(['line 3: not JSON', expect.stringContaining('1 of 2')]);
    terminal.end();
  });
});
