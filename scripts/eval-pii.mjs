// Measures the built-in PII detectors on labelled texts: npm run eval:pii -- FILE...
//
// A file has a JSON object a line: { "text": string, "spans": [{ "start", "end", "type" }] }, offsets in UTF-16 code units;
// a text without spans is a negative. "label" sorts negatives: those that start with "randid" are counted apart.
// A labelled value is found when spans of any type cover each of its letters and digits.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

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

const overlaps = (a, b) => a.start < b.end && b.start < a.end;

function isCovered(text, { start, end }, found) {
  for (let at = start; at < end; ) {
    const character = String.fromCodePoint(text.codePointAt(at));
    if (/[\p{L}\p{N}]/u.test(character) && !found.some((span) => span.start <= at && at < span.end)) return false;
    at += character.length;
  }
  return true;
}

function evaluate(texts, detect, known) {
  const types = new Map(known.map((type) => [type, { type, labelled: 0, found: 0, predicted: 0, right: 0 }]));
  const outside = [];
  const missed = [];
  const negatives = new Map();
  let ms = 0;
  for (const { text, spans, label } of texts) {
    const startedAt = performance.now();
    const predictions = detect(text);
    ms += performance.now() - startedAt;
    for (const span of spans.filter(({ type }) => types.has(type))) {
      const row = types.get(span.type);
      row.labelled++;
      if (isCovered(text, span, predictions)) row.found++;
      else missed.push(`${span.type} ${JSON.stringify(text.slice(span.start, span.end))}`);
    }
    for (const span of predictions) {
      const row = types.get(span.type);
      row.predicted++;
      const labels = spans.filter((one) => overlaps(one, span));
      if (labels.some(({ type }) => type === span.type)) row.right++;
      if (labels.length === 0) outside.push(`${span.type} ${JSON.stringify(text.slice(span.start, span.end))} in ${JSON.stringify(text.slice(0, 100))}`);
    }
    if (spans.length > 0) continue;
    const kind = label.startsWith('randid') ? 'random ids' : 'texts without labels';
    const count = negatives.get(kind) ?? { texts: 0, flagged: 0 };
    negatives.set(kind, { texts: count.texts + 1, flagged: count.flagged + (predictions.length > 0 ? 1 : 0) });
  }
  return { rows: [...types.values()], outside, missed, negatives, ms };
}

const share = (part, whole) => (whole === 0 ? '-' : (part / whole).toFixed(3));

const { values, positionals } = readArguments();
if (positionals.length === 0) refuse('no file given');
const { detectBuiltIn, BUILT_IN_ENTITIES } = await readLibrary();
for (const file of positionals) {
  const texts = readTexts(file);
  const detect = (text) => detectBuiltIn(text, BUILT_IN_ENTITIES);
  const warmUp = texts.slice(0, 200);
  for (const { text } of warmUp) detect(text);
  const { rows, outside, missed, negatives, ms } = evaluate(texts, detect, BUILT_IN_ENTITIES);
  const characters = texts.reduce((sum, { text }) => sum + text.length, 0);
  console.log(`${file}: ${texts.length} texts, ${characters} characters, ${ms.toFixed(1)} ms`);
  console.table(
    rows
      .filter(({ labelled, predicted }) => labelled + predicted > 0)
      .map(({ type, labelled, found, predicted, right }) => ({ type, labelled, found, recall: share(found, labelled), spans: predicted, precision: share(right, predicted) })),
  );
  console.log(`spans outside every label: ${outside.length}`);
  for (const [kind, { texts: count, flagged }] of negatives) console.log(`${kind}: ${flagged} of ${count} flagged (${((flagged / count) * 100).toFixed(1)} %)`);
  if (values.misses) for (const line of [...missed.map((one) => `missed ${one}`), ...outside.map((one) => `outside ${one}`)]) console.log(line);
  console.log('');
}
