// What the option `pii` costs: taking personal data out of a text and putting it back, and a hit with it against one without.
// Part of npm run bench; alone: npm run build && node bench/privacy.mjs
import { fileURLToPath } from 'node:url';
import { LlmCache, LlmService } from 'nestjs-llm-cache';
import { builtInDetector } from '../dist/esm/redaction/detectors/built-in-detectors.js';
import { DetectingRedactor } from '../dist/esm/redaction/detecting-redactor.js';
import { decoratedApp } from './apps.mjs';
import { measure } from './measure.mjs';
import { copyOf, PROMPT, repeated, REQUESTS, response } from './workloads.mjs';

const redactor = new DetectingRedactor([builtInDetector()]);
const context = { path: [], direction: 'request', reversible: true };

/** Lower bound: finding it. */
const detector = builtInDetector();

const ms = (microseconds) => (microseconds / 1_000).toFixed(3);

async function texts() {
  const rows = [];
  for (const [size, length] of [['1 KB', 1_000], ['10 KB', 10_000], ['100 KB', 100_000], ['1 MB', 1_000_000]]) {
    const text = repeated(PROMPT, length);
    const redaction = redactor.redact(text, context);
    if (redaction.value.includes('jo.doe@example.com') || redaction.rehydrate(redaction.value) !== text) throw new Error('not redacted, or not restored');
    const times = await measure(
      { bound: () => detector.detect(text, context), redact: () => redactor.redact(text, context), restore: () => redaction.rehydrate(redaction.value) },
      { operations: Math.max(1, 100_000 / length), rounds: length === 1_000_000 ? 15 : 40 },
    );
    rows.push({ text: size, 'detect ms': ms(times.bound), 'pseudonymise ms': ms(times.redact), ratio: (times.redact / times.bound).toFixed(2), 'put back ms': ms(times.restore) });
  }
  return rows;
}

/** A request with an e-mail address in its last message, and an answer that repeats it. */
function personal(request, answer) {
  const own = copyOf(request);
  const last = own.messages.at(-1);
  last.content = `I am jo.doe@example.com. ${last.content.slice(25)}`;
  return { request: own, answer: (token) => ({ ...answer, choices: [{ ...answer.choices[0], message: { ...answer.choices[0].message, content: `Dear ${token}, ${answer.choices[0].message.content}` } }] }) };
}

const MODES = { plain: {}, bypass: { pii: { mode: 'bypass' } }, pseudonymize: { pii: { mode: 'pseudonymize' } } };

/** Through the decorator and through LlmService. Nothing personal is in the plain request: a hit with `bypass` has none. */
async function hits() {
  const rows = [];
  for (const size of ['200 B', '2 KB', '20 KB']) {
    const request = copyOf(REQUESTS[size]);
    const { request: own, answer } = personal(REQUESTS[size], response({ '200 B': 200, '2 KB': 2_000, '20 KB': 20_000 }[size]));
    const entries = { decorator: {}, LlmService: {} };
    const closing = [];
    for (const [mode, options] of Object.entries(MODES)) {
      const given = mode === 'pseudonymize' ? own : request;
      const produce = () => Promise.resolve(answer('[[EMAIL_1]]'));
      const { service, close } = await decoratedApp(options, mode === 'pseudonymize' ? produce : () => Promise.resolve(answer('Jo')));
      const llmCache = new LlmCache(options, undefined, 'bench');
      const llm = new LlmService(llmCache, { id: 'bench', chat: mode === 'pseudonymize' ? produce : async () => answer('Jo') });
      entries.decorator[mode] = () => service.ask(given);
      entries.LlmService[mode] = () => llm.chat(given);
      closing.push(close, () => llmCache.close());
    }
    for (const [through, ofModes] of Object.entries(entries)) {
      for (const [mode, ask] of Object.entries(ofModes)) {
        await ask();
        const text = JSON.stringify(await ask());
        if (text.includes(mode === 'pseudonymize' ? '[[' : '@')) throw new Error(`${mode}: ${text.slice(0, 300)}`);
      }
      const times = await measure(ofModes, { operations: size === '20 KB' ? 100 : 300, rounds: 30 });
      for (const mode of ['bypass', 'pseudonymize']) {
        const ratio = times[mode] / times.plain;
        const aim = mode === 'pseudonymize' && size === '2 KB' ? 3 : undefined;
        rows.push({ what: `hit, ${mode}, ${through}, ${size}`, 'plain us': times.plain.toFixed(1), 'ours us': times[mode].toFixed(1), ratio: ratio.toFixed(2), aim, met: aim === undefined || ratio <= aim });
      }
    }
    for (const close of closing) await close();
  }
  return rows;
}

export async function privacy() {
  console.log('\nPrivacy: a text pseudonymised and put back; a memory hit with it');
  console.table(await texts());
  console.table(await hits());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await privacy();
