// A run as a picture: calls and upstream calls a second, memory, and the faults as marks.

const [WIDTH, LEFT, RIGHT] = [1_200, 60, 20];
const PANELS = [
  { title: 'calls a second', top: 50, height: 200 },
  { title: 'upstream calls a second', top: 300, height: 130 },
  { title: 'RSS of each worker, MB', top: 480, height: 150 },
];
const HEIGHT = 720;
const COLOURS = { calls: '#8a9ba8', hits: '#2e8b57', upstream: '#c0562b', violation: '#d00000' };
const WORKER_COLOURS = ['#1f5fa8', '#a85f1f', '#5fa81f', '#8a1fa8'];
const FAULT_COLOURS = { 'redis restart': '#d00000', 'redis freeze': '#e08000', 'messages cut': '#b8a000', kill: '#7a0026', stop: '#5a5aa0', release: '#208080', clock: '#9a9a9a', 'late, removed': '#5a5aa0', 'late, overtaken': '#c0c0e0' };

export function plotOf(record, { violations }) {
  const { startedAt, endedAt, seed, lives } = record;
  const seconds = Math.ceil((endedAt - startedAt) / 1_000);
  const x = (at) => LEFT + ((at - startedAt) / 1_000 / seconds) * (WIDTH - LEFT - RIGHT);
  const perSecond = (list, atOf) => {
    const counts = Array.from({ length: seconds }, () => 0);
    for (const each of list) counts[Math.max(0, Math.min(seconds - 1, Math.floor((atOf(each) - startedAt) / 1_000)))] += 1;
    return counts.map((count, second) => [startedAt + (second + 0.5) * 1_000, count]);
  };
  const replies = record.calls.filter(({ at }) => at !== undefined);
  const calls = perSecond(replies, ({ at }) => at);
  const hits = perSecond(replies.filter(({ outcome }) => ['hit', 'stale', 'coalesced'].includes(outcome?.status)), ({ at }) => at);
  const upstream = perSecond(record.upstream, ({ at }) => at);
  const memory = lives.map(({ number }) => record.samples.filter(({ life }) => life === number).map(({ at, rss }) => [at, rss / 1024 ** 2]));
  const [first, second, third] = PANELS;
  const mostCalls = mostOf([calls]);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${LEFT}" y="22" font-size="16">Seed ${escaped(seed)}: ${record.calls.length} calls, ${record.upstream.length} upstream calls, ${record.faults.length} faults, ${violations.length} violations</text>`,
    ...record.faults.map(({ what, from, until }) => faultMark(x(from), x(until), FAULT_COLOURS[what], `${what} at ${((from - startedAt) / 1_000).toFixed(1)} s`)),
    ...violations.map(({ at, kind }) => faultMark(x(at), x(at), COLOURS.violation, `VIOLATION: ${kind}`)),
    ...PANELS.map((panel) => frame(panel)),
    ...[0, 0.25, 0.5, 0.75, 1].map((part) => `<text x="${LEFT + part * (WIDTH - LEFT - RIGHT)}" y="648" text-anchor="middle">${Math.round(part * seconds)} s</text>`),
    axis(first, mostCalls),
    line(first, x, calls, mostCalls, COLOURS.calls),
    line(first, x, hits, mostCalls, COLOURS.hits),
    axis(second, mostOf([upstream])),
    line(second, x, upstream, mostOf([upstream]), COLOURS.upstream),
    axis(third, mostOf(memory)),
    ...memory.map((points, number) => line(third, x, points, mostOf(memory), WORKER_COLOURS[lives[number].worker])),
    legend(),
    '</svg>',
  ].join('\n');
}

function mostOf(lines) {
  return Math.max(1, ...lines.flat().map(([, value]) => value));
}

function frame({ title, top, height }) {
  return `<text x="${LEFT}" y="${top - 6}" fill="#444">${title}</text><rect x="${LEFT}" y="${top}" width="${WIDTH - LEFT - RIGHT}" height="${height}" fill="none" stroke="#ccc"/>`;
}

function axis({ top, height }, most) {
  return `<text x="${LEFT - 6}" y="${top + 10}" text-anchor="end">${Math.round(most)}</text><text x="${LEFT - 6}" y="${top + height}" text-anchor="end">0</text>`;
}

function line({ top, height }, x, points, most, colour) {
  const path = points.map(([at, value]) => `${x(at).toFixed(1)},${(top + height * (1 - value / most)).toFixed(1)}`).join(' ');
  return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>`;
}

function faultMark(from, until, colour, title) {
  return `<rect x="${from.toFixed(1)}" y="34" width="${Math.max(1.5, until - from).toFixed(1)}" height="600" fill="${colour}" opacity="0.25"><title>${escaped(title)}</title></rect>`;
}

function legend() {
  const entries = [['calls', COLOURS.calls], ['answered without an upstream call', COLOURS.hits], ['upstream calls', COLOURS.upstream], ...Object.entries(FAULT_COLOURS), ['violation', COLOURS.violation]];
  let left = LEFT;
  return entries
    .map(([name, colour]) => {
      const entry = `<rect x="${left}" y="672" width="10" height="10" fill="${colour}"/><text x="${left + 14}" y="681">${name}</text>`;
      left += 30 + name.length * 6.5;
      return entry;
    })
    .join('');
}

function escaped(text) {
  return String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
