// The built-in PII detectors: realistic text of four sizes, and the megabytes that cost the most. Part of npm run bench;
// alone: npm run build && node bench/pii.mjs
import { fileURLToPath } from 'node:url';
import { BUILT_IN_ENTITIES, DEFAULT_ENTITIES, detectBuiltIn } from '../dist/esm/redaction/detectors/built-in-detectors.js';
import { measure, percentile } from './measure.mjs';
import { PROMPT, repeated } from './workloads.mjs';

const MEGABYTE = 1_000_000;

/** What makes each of the detectors try again and again. */
const HOSTILE = [
  '1', '1-', '1 ', '1.', '1-1-1-', '(1', '+1', '1234567, ', '1234567890123456 ', '4111-1111-1111-1111, ', '4111 1111 1111 1112 ', '0490 75 40 81, ', '+447700900123 ',
  'call 123 4567, ', 'phone phone 123 4567 x', 'me at to 1234567;', 'ssn ssn 123456789 ', '123-45-6789 ', 'DE89 3704 0044 0532 0130 01 ', 'GB82 ', 'a@', 'a@a.a.', '@', '中@', 'é@é.', 'a.b@c.',
  'eyJ', 'eyJaaaaaaaa.', 'eyJaaaaaaaa.eyJaaaaaaaa.', '://', '://a:', '://a:b', 'http://a:b@', 'sk-', 'sk-aaaaaaaaaaaaaaaaaaaaaaaa-', 'token=', 'password: a1', 'Bearer ', '-----BEGIN PRIVATE KEY-----',
  '-----BEGIN PRIVATE KEY-----\nAAAA\n', '-----BEGIN ', '::', 'a:', '2001:db8::1 ', '1.2.3.4 ', '1.2.3.', ' ', 'a', 'A1', '_', 'John Smith ', '{"a":1}',
  'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
];

/** Lower bound: looking at each code unit once, as any detector has to. */
function onePass(text) {
  let digits = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 48 && code <= 57) digits++;
  }
  return digits;
}

const row = (what, bound, ours, most) => ({
  what, 'one pass ms': (bound / 1_000).toFixed(3), 'detect ms': (ours / 1_000).toFixed(3), ratio: (ours / bound).toFixed(1), 'at most ms': most, met: most === undefined || ours / 1_000 <= most,
});

async function realistic() {
  const rows = [];
  for (const [size, length, most] of [['1 KB', 1_000], ['10 KB', 10_000], ['100 KB', 100_000], ['1 MB', MEGABYTE, 60]]) {
    const text = repeated(PROMPT, length);
    const times = await measure(
      { bound: () => onePass(text), ours: () => detectBuiltIn(text), all: () => detectBuiltIn(text, BUILT_IN_ENTITIES) },
      { operations: Math.max(1, 100_000 / length), rounds: length === MEGABYTE ? 15 : 40 },
    );
    rows.push(row(`realistic text, ${size}`, times.bound, times.ours, most), row(`  with IP, ${size}`, times.bound, times.all));
  }
  return rows;
}

/** The worst five, and how the time grows: four times the text should take about four times as long. */
async function hostile() {
  const results = [];
  for (const shape of HOSTILE) {
    const [text, quarter] = [repeated(shape, MEGABYTE), repeated(shape, MEGABYTE / 4)];
    const times = await measure(
      { bound: () => onePass(text), ours: () => detectBuiltIn(text, BUILT_IN_ENTITIES), quarter: () => detectBuiltIn(quarter, BUILT_IN_ENTITIES) },
      { operations: 1, rounds: 5 },
    );
    results.push({ shape, ...times });
  }
  const growth = results.map(({ ours, quarter }) => ours / quarter);
  console.log(`four times the hostile text takes ${percentile(growth, 0.5).toFixed(1)} times as long, at most ${Math.max(...growth).toFixed(1)} times, over ${HOSTILE.length} shapes`);
  return results
    .toSorted((a, b) => b.ours - a.ours)
    .slice(0, 5)
    .map(({ shape, bound, ours }) => row(`hostile, all types, 1 MB of ${JSON.stringify(shape.slice(0, 30))}`, bound, ours, 250));
}

export async function piiDetectors() {
  console.log(`\nPII detectors: ${DEFAULT_ENTITIES.join(', ')}`);
  console.table([...(await realistic()), ...(await hostile())]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await piiDetectors();
