import { bold, calls, dim, duration, green, number, printTitle, red, yellow } from './print.mjs';

const BAR = 32;

export function printFleetIntroduction({ processes, callers, answerMs, server }) {
  console.log(`
${bold('nestjs-llm-cache')}: ${processes} Nest processes, each with memory and one ${server} behind it, started for this demo.
${dim(`Their LLM is a server in this process, which takes ${answerMs} ms for an answer and counts its calls. Each process has ${number(callers)} callers.`)}`);
}

/** How many upstream calls a way of caching took, against the most that any took. */
export function printBar({ what, upstreamCalls, wallMs, most }) {
  const length = Math.max(1, Math.round((upstreamCalls / most) * BAR));
  const color = upstreamCalls === 1 ? green : upstreamCalls === most ? red : yellow;
  const cells = [what.padEnd(31), color('█'.repeat(length)), ' '.repeat(BAR - length), number(upstreamCalls).padStart(7), duration(wallMs).padStart(11)];
  console.log(`   ${cells.join('')}`);
}

export function printBarTitles(title) {
  printTitle(title);
  console.log(dim(`   ${'a cache'.padEnd(31)}${'upstream calls'.padEnd(BAR)}${''.padStart(7)}${'until all'.padStart(11)}`));
}

/** What happens, line by line, with the time since its start. */
export function openTimeline(title) {
  printTitle(title);
  const startedAt = performance.now();
  return (who, what, result = '') => {
    const at = `${number(Math.round(performance.now() - startedAt))} ms`;
    console.log(`   ${dim(at.padStart(8))}   ${who.padEnd(14)}${what}${result && ` ${green(result)}`}`);
  };
}

export function printVerdict(ok, words) {
  console.log(`   ${ok ? green('✓') : red('✗')} ${words}`);
}

export function printFleetConclusion(isGood, { asked, upstreamCalls, ms }) {
  console.log(`\n${bold(`${number(asked)} callers of one question, ${calls(upstreamCalls)}`)} ${dim(`(the demo took ${duration(ms)})`)}.`);
  console.log(
    isGood
      ? 'An invalidation beat a call under way elsewhere, and nobody waited for a dead process longer than its lease.\nWhat is promised, and what is not: docs/fleet.md'
      : red('Not everything came out as it should: see the lines marked ✗.'),
  );
  console.log();
}
