// Measures the built-in PII detectors on labelled texts: npm run eval:pii -- FILE...
//
// A file has a JSON object a line: { "text": string, "spans": [{ "start", "end", "type" }] }, offsets in UTF-16 code units;
// a text without spans is a negative. "label" sorts negatives: those that start with "randid" are counted apart.
// A labelled value is found when spans of any type cover each of its letters and digits.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { measurePii } from './pii-measure.mjs';

const USAGE = `npm run eval:pii -- [--misses] FILE...
  FILE      texts as JSON lines: {"text": "mail a@example.com", "spans": [{"start": 5, "end": 18, "type": "EMAIL"}]}
  --misses  lists what was not found, and what was found outside the labels`;

function refuse(problem) {
  console.error(`eval-pii: ${problem}\n\n${USAGE}`);
  process.exit(2);
}

function readArguments() {
  try {
    return parseArgs({ options: { misses: { type: 'boolean', default: false } }, allowPositionals: true });
  } catch (error) {
    return refuse(error.message);
  }
}

async function readLibrary() {
  try {
    return await import('../dist/esm/redaction/detectors/built-in-detectors.js');
  } catch {
    return refuse('the package is not built: run `npm run build` first');
  }
}

function readTexts(file) {
  let content;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    refuse(`cannot read ${file}: ${error.code ?? error.message}`);
  }
  const lines = content.split('\n').map((line, index) => [line, `${file}:${index + 1}`]);
  const texts = lines.filter(([line]) => line.trim() !== '').map(([line, place]) => readText(line, place));
  return texts.length === 0 ? refuse(`${file} holds no texts`) : texts;
}

function readText(line, place) {
  let parsed;
  try {
    parsed = JSON.parse(line);
  } catch {
    refuse(`${place} is not JSON`);
  }
  if (typeof parsed?.text !== 'string') refuse(`${place} has no "text"`);
  const { text, spans = [], label = '' } = parsed;
  if (!Array.isArray(spans)) refuse(`${place}: "spans" is not a list`);
  for (const span of spans) {
    const fits = Number.isInteger(span?.start) && Number.isInteger(span.end) && span.start >= 0 && span.start < span.end && span.end <= text.length;
    if (!fits || typeof span.type !== 'string') refuse(`${place} has a span that is not { start, end, type } inside the text: ${JSON.stringify(span)}`);
  }
  return { text, spans, label: String(label) };
}

const share = (part, whole) => (whole === 0 ? '-' : (part / whole).toFixed(3));

const { values, positionals } = readArguments();
if (positionals.length === 0) refuse('no file given');
const files = positionals.map((file) => ({ file, texts: readTexts(file) }));
const { detectBuiltIn, BUILT_IN_ENTITIES } = await readLibrary();
const detect = (text) => detectBuiltIn(text, BUILT_IN_ENTITIES);
for (const { texts } of files) for (const { text } of texts.slice(0, 200)) detect(text); // warm up

for (const { file, texts } of files) {
  const { rows, outside, missed, negatives, ms } = measurePii(texts, detect, BUILT_IN_ENTITIES);
  const characters = texts.reduce((sum, { text }) => sum + text.length, 0);
  console.log(`${file}: ${texts.length} texts, ${characters} characters, ${ms.toFixed(1)} ms`);
  const shown = rows.filter(({ labelled, predicted }) => labelled + predicted > 0);
  if (shown.length > 0) {
    console.table(
      Object.fromEntries(shown.map(({ type, labelled, found, predicted, right }) => [type, { labelled, found, recall: share(found, labelled), spans: predicted, precision: share(right, predicted) }])),
    );
  }
  console.log(`spans outside every label: ${outside.length}`);
  for (const { kind, texts: count, flagged } of negatives) console.log(`${kind}: ${flagged} of ${count} flagged (${((flagged / count) * 100).toFixed(1)} %)`);
  if (values.misses) for (const line of [...missed.map((one) => `missed ${one}`), ...outside.map((one) => `outside ${one}`)]) console.log(line);
  console.log('');
}
