const useColor = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code) => (text) => (useColor ? `\u001B[${code}m${text}\u001B[0m` : text);
export const bold = paint(1);
export const dim = paint(2);
export const red = paint(31);
export const green = paint(32);
export const yellow = paint(33);
const STATUS_COLOR = { miss: yellow, coalesced: paint(36), hit: green, stale: dim, bypass: red };
const STATUSES = Object.keys(STATUS_COLOR);

const COLUMNS = [
  { title: 'prompt', width: 31, cell: ({ prompt }) => prompt },
  { title: 'status', width: 11, cell: ({ status }) => status, color: ({ status }) => STATUS_COLOR[status] },
  { title: 'time', width: 9, right: true, cell: ({ ms }) => duration(ms) },
  { title: 'upstream calls', width: 17, right: true, cell: ({ upstreamCalls }) => String(upstreamCalls) },
  { title: 'tokens saved', width: 15, right: true, cell: ({ answers }) => orDash(tokensSaved(answers), number) },
  { title: 'time saved', width: 13, right: true, cell: ({ answers }) => orDash(msSaved(answers), duration) },
];

let acts = 0;

export function printIntroduction() {
  console.log(`
${bold('nestjs-llm-cache')}: the sample app answers POST /ask through @CacheLlm(), over memory and a SQLite file.
${dim('Its LLM is a mock server on 127.0.0.1: answers are canned and times simulated, and its journal counts the calls.')}`);
}

export function printTitle(title) {
  acts += 1;
  console.log(`\n${bold(`${acts}. ${title}`)}\n`);
}

/** What follows is the command's own. */
export function printCommand(command) {
  console.log(`   ${dim('$')} ${command}`);
}

/** Rows are prompts, with one answer or, from many callers, many. */
export function printTable(title, rows) {
  printTitle(title);
  console.log(dim(lineOf(({ title: name }) => name)));
  for (const line of rows.flatMap(byStatus)) console.log(lineOf(({ cell }) => cell(line), ({ color }) => color?.(line)));
}

const CALLERS = ['first', 'second', 'third'];

export function printReplies(replies) {
  console.log(dim(`   ${'caller'.padEnd(10)}${'first words after'.padEnd(20)}${'at once'.padEnd(18)}${'whole reply after'.padEnd(20)}Cache-Status`));
  for (const [index, { firstMs, firstText, ms, cacheStatus }] of replies.entries()) {
    const color = cacheStatus.includes('; hit') ? STATUS_COLOR.hit : index === 0 ? STATUS_COLOR.miss : STATUS_COLOR.coalesced;
    const cells = [CALLERS[index].padEnd(10), duration(firstMs).padEnd(20), `${number(firstText.length)} characters`.padEnd(18), duration(ms).padEnd(20)];
    console.log(`   ${cells.join('')}${color(cacheStatus)}`);
  }
}

/** Who asked what and read what, and what the LLM was asked in between. */
export function printCustomers(rows, template) {
  for (const { prompt, answers: [{ status, text, ms }] } of rows) {
    printFact('asked', prompt);
    printFact('read', `${text} ${dim(`(${duration(ms)}, `)}${STATUS_COLOR[status](status)}${dim(')')}`);
  }
  printFact('LLM was asked', template);
}

/** A stored entry, shortened, and the files that were searched for what must not be there. */
export function printAtRest(entry, files, found) {
  printFact('at rest', entry === undefined ? red('no such entry') : `${dim(`${entry.header.slice(0, 24)}…}`)} ${entry.payload}`);
  const searched = files.map(({ name, bytes }) => `${name} (${number(Math.ceil(bytes.length / 1_024))} KB)`).join(', ');
  for (const { address, where } of found) printFact('search', `${address} in ${where.length === 0 ? `${searched}: ${green('nothing')}` : red(where.join(', '))}`);
}

function printFact(what, words) {
  console.log(`   ${dim(what.padEnd(15))}${words}`);
}

export function printCheck(ok, expected, counted) {
  if (ok) console.log(`   ${green('✓')} ${calls(counted)}, as expected`);
  else console.log(`   ${red('✗')} ${calls(counted)} where ${expected} were expected, or a status that was not`);
}

export function printConclusion(rows) {
  const answers = rows.flatMap((row) => row.answers);
  const upstreamCalls = rows.reduce((sum, row) => sum + row.upstreamCalls, 0);
  const saved = `${number(tokensSaved(answers))} tokens and ${duration(msSaved(answers))} of waiting saved`;
  console.log(`\n${bold(`${number(answers.length)} questions, ${calls(upstreamCalls)}`)}: ${saved}.`);
  console.log(
    process.exitCode
      ? red('Not everything came out as it should: see the lines marked ✗.')
      : 'A restart and a kill -9 lost nothing, and a new version started afresh.',
  );
  console.log();
}

function lineOf(textOf, colorOf = () => undefined) {
  const cells = COLUMNS.map((column) => {
    const text = textOf(column);
    const padding = ' '.repeat(Math.max(1, column.width - text.length));
    const colored = colorOf(column)?.(text) ?? text;
    return column.right ? padding + colored : colored + padding;
  });
  return `   ${cells.join('').trimEnd()}`;
}

/** One line for each status; the slowest answer gives the time. The journal counts calls, not who made them. */
function byStatus({ prompt, answers, upstreamCalls }) {
  const found = new Set(answers.map(({ status }) => status));
  return STATUSES.filter((status) => found.has(status)).map((status, index) => {
    const alike = answers.filter((answer) => answer.status === status);
    return {
      prompt: index === 0 ? prompt : `  and ${alike.length} callers more`,
      status,
      answers: alike,
      ms: Math.max(...alike.map(({ ms }) => ms)),
      upstreamCalls: index === 0 ? upstreamCalls : '-',
    };
  });
}

function tokensSaved(answers) {
  return answers.reduce((sum, { status, tokens }) => sum + (status === 'miss' ? 0 : tokens), 0);
}

/** Of hits alone: a caller who shared an upstream call waited for it too. */
function msSaved(answers) {
  const hits = answers.filter(({ status }) => status === 'hit');
  return hits.reduce((sum, answer) => sum + answer.msSaved, 0);
}

export function duration(ms) {
  if (ms >= 1_000) return `${number(Math.round(ms / 100) / 10)} s`;
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}

export function calls(count) {
  return `${count} upstream call${count === 1 ? '' : 's'}`;
}

export function number(value) {
  return value.toLocaleString('en');
}

function orDash(value, format) {
  return value === 0 ? '-' : format(value);
}
