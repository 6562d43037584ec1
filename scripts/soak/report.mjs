// What a run was, as text.

const LINES_AROUND = 12;
const SHOWN_VIOLATIONS = 5;

export function tableOf(record, { violations, figures }) {
  const statuses = countBy(record.calls, ({ outcome, at }) => (at === undefined ? 'lost with its process' : (outcome?.status ?? 'refused or aborted')));
  const lasted = (record.endedAt - record.startedAt) / 1_000;
  const answered = record.calls.filter(({ answer }) => answer !== undefined).length;
  const rows = [
    ['calls', `${record.calls.length} (${(record.calls.length / lasted).toFixed(0)} a second)`],
    ...indented(statuses),
    ['slowest call', `${Math.round(Math.max(...record.calls.map(({ at = 0, askedAt = 0 }) => at - askedAt)))} ms`],
    ['answers', answered],
    ['upstream calls', `${record.upstream.length} (${(100 * (1 - record.upstream.length / answered)).toFixed(1)} % saved)`],
    ['  judged', `${figures.judged} of ${figures.topics} questions`],
    ['  again, for a reason', figures.again],
    ['  while Redis was out of reach', figures.excused],
    ['invalidations', record.invalidations.length],
    ...indented(countBy(record.invalidations, ({ at, error }) => (at === undefined ? 'lost with its process' : error === undefined ? 'confirmed' : 'rejected'))),
    ['  worst delay elsewhere', `${figures.worstDelayMs.toFixed(0)} ms`],
    ['faults', record.faults.length],
    ...indented(countBy(record.faults, ({ what }) => what)),
    ['processes', record.lives.length],
    ['store errors', record.storeErrors.length],
    ['heap of the longest-lived', `${megabytes(figures.heapGrowth)} MB (RSS ${megabytes(figures.rssGrowth)} MB)`],
    ['violations', violations.length],
    ...indented(countBy(violations, ({ kind }) => kind)),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

/** The first violations, and what was going on around the first. */
export function linesAround(record, violations) {
  const [first] = violations;
  const { startedAt } = record;
  const shown = violations.slice(0, SHOWN_VIOLATIONS).map(({ kind, at, topic, what }) => `${seconds(at - startedAt)}  ${kind.toUpperCase()}: ${topic ?? ''} ${what}`);
  const lines = journalOf(record, first.topic).sort((one, other) => one.at - other.at);
  const place = lines.findLastIndex(({ at }) => at <= first.at);
  const around = lines.slice(Math.max(0, place - LINES_AROUND * 2), place + LINES_AROUND).map(({ at, text }) => `${seconds(at - startedAt)}  ${text}`);
  return [shown.join('\n'), '', `around the first${first.topic === undefined ? '' : `, about ${first.topic}`}:`, ...around].join('\n');
}

/** @param topic without one, everything that is not about one */
function journalOf(record, topic) {
  const { calls, upstream, invalidations, faults, lives, problems } = record;
  const isOurs = (call) => call.topic === topic;
  return [
    ...calls.filter(isOurs).map((call) => ({ at: call.askedAt ?? call.sentAt, text: `worker ${call.worker}  call ${call.id} ${call.way} ${JSON.stringify(call.control)}` })),
    ...calls
      .filter((call) => isOurs(call) && call.at !== undefined)
      .map((call) => ({ at: call.at, text: `worker ${call.worker}  call ${call.id} -> ${call.answer === undefined ? call.error.name : `answer ${call.answer.seq}`} ${JSON.stringify(call.outcome)}` })),
    ...upstream
      .filter(({ question, scope, version }) => `${question}/${scope ?? '-'}/v${version}` === topic)
      .flatMap(({ seq, life, beganAt, endedAt = beganAt, status }) => [
        { at: beganAt, text: `worker ${lives[life].worker}  asks upstream: ${seq}` },
        { at: endedAt, text: `worker ${lives[life].worker}  upstream ${status} ${seq}` },
      ]),
    ...invalidations.map(({ id, worker, target, sentAt, calledAt = sentAt }) => ({ at: calledAt, text: `worker ${worker}  invalidation ${id} of ${JSON.stringify(target)}` })),
    ...invalidations.filter(({ at }) => at !== undefined).map(({ id, worker, at, error = 'confirmed' }) => ({ at, text: `worker ${worker}  invalidation ${id} ${error}` })),
    ...faults.flatMap(({ what, worker, from, until }) => [
      { at: from, text: `FAULT ${what} ${worker ?? ''}` },
      { at: until, text: `FAULT over: ${what} ${worker ?? ''}` },
    ]),
    ...lives.map(({ readyAt, worker, version }) => ({ at: readyAt, text: `worker ${worker}  ready, version ${version}` })),
    ...problems.map(({ at, worker, what }) => ({ at, text: `worker ${worker}  ${what}` })),
  ];
}

function indented(counts) {
  return Object.entries(counts).map(([name, count]) => [`  ${name}`, count]);
}

function countBy(list, keyOf) {
  const counts = {};
  for (const each of list) counts[keyOf(each)] = (counts[keyOf(each)] ?? 0) + 1;
  return counts;
}

const seconds = (ms) => `${(ms / 1_000).toFixed(3).padStart(8)} s`;
const megabytes = (bytes) => `${bytes >= 0 ? '+' : ''}${(bytes / 1024 ** 2).toFixed(1)}`;
