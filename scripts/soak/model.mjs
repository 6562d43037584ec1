// What must hold, whatever goes wrong: the record of a run is judged after it. Pure.
import { judgeMemory } from './model-memory.mjs';
import { judgeUpstream } from './model-upstream.mjs';
import { topicOf, touches } from './questions.mjs';
import { BOUND_MS, LONGEST_CALL_MS } from './settings.mjs';
import { Troubles } from './troubles.mjs';

/**
 * @typedef {object} Violation
 * @property {string} kind
 * @property {number} at of the clock that all processes share, milliseconds
 * @property {string} [topic]
 * @property {string} what
 */

/** An invalidation that a store did not confirm is made again when the store is back. */
const MADE_AGAIN_WITHIN_MS = 15_000;
/** Those who waited for a call that failed hear of it for a while. */
const FAILURE_TOLD_FOR_MS = 2_500;

/** @returns {{ violations: Violation[], figures: Record<string, number> }} */
export function judge(record) {
  const context = new Context(record);
  const stale = judgeInvalidations(context);
  const upstream = judgeUpstream(context);
  const memory = judgeMemory(record);
  const lost = judgeStored(context);
  const violations = [
    ...record.calls.flatMap((call) => judgeAnswer(context, call)),
    ...record.calls.flatMap((call) => judgeEnd(context, call)),
    ...stale.violations,
    ...lost.violations,
    ...upstream.violations,
    ...memory.violations,
    ...context.troubles.violations,
    ...record.problems.map(({ at, worker, what }) => ({ kind: 'problem', at, what: `worker ${worker}: ${what}` })),
  ].sort((one, other) => one.at - other.at);
  return { violations, figures: { ...stale.figures, ...lost.figures, ...upstream.figures, ...memory.figures } };
}

/** The record, by topic. */
class Context {
  constructor(record) {
    this.record = record;
    this.troubles = new Troubles(record);
    this.questions = new Map(record.calls.map(({ topic, question, version }) => [topic, { question, version }]));
    this.calls = groupBy(record.calls);
    this.upstream = groupBy(record.upstream.map((call) => ({ ...call, topic: topicOf({ upstream: call.question, scope: call.scope }, call.version) })));
    this.invalidations = new Map(
      [...this.questions].map(([topic, { question, version }]) => [topic, record.invalidations.filter((each) => touches(each, question, version)).map((each) => this.#timesOf(each))]),
    );
  }

  /** From when to when it may remove an answer. */
  #timesOf(invalidation) {
    const { life, sentAt, calledAt = sentAt, at, error } = invalidation;
    const endedAt = at ?? this.record.lives[life].endedAt ?? Infinity;
    return { ...invalidation, calledAt, endedAt, isConfirmed: at !== undefined && error === undefined, overAt: endedAt + (at !== undefined && error === undefined ? BOUND_MS : MADE_AGAIN_WITHIN_MS) };
  }
}

function groupBy(list) {
  const groups = new Map();
  for (const each of list) {
    if (!groups.has(each.topic)) groups.set(each.topic, []);
    groups.get(each.topic).push(each);
  }
  return groups;
}

/** P1, P6: the answer of this question, in this scope, of this version, as upstream gave it. */
function judgeAnswer(_context, { id, answer, question, version, topic, at, way }) {
  if (answer === undefined) return [];
  const isRight = answer.question === question.upstream && answer.scope === question.scope && answer.version === version && Number.isInteger(answer.seq);
  return isRight ? [] : [{ kind: 'wrong answer', at, topic, what: `call ${id} (${way}) got ${JSON.stringify(answer)}` }];
}

/** P2, P4: no call fails that upstream answered, no caller's abort is another's, and nobody is left waiting. */
function judgeEnd({ record, upstream, troubles }, call) {
  const { id, life, topic, way, control, abortAfterMs, sentAt, askedAt, at, error } = call;
  const about = `call ${id} (${way} ${JSON.stringify(control)}, worker ${call.worker})`;
  if (at === undefined) {
    return record.lives[life].how === 'killed' ? [] : [{ kind: 'unanswered', at: sentAt, topic, what: `${about} was never answered` }];
  }
  const waitedMs = at - askedAt - troubles.heldUpMs(call.worker, askedAt, at);
  if (waitedMs > LONGEST_CALL_MS) return [{ kind: 'slow', at, topic, what: `${about} took ${Math.round(waitedMs)} ms` }];
  if (error === undefined) return [];
  if (error.name === 'LlmCacheMissError' && control.onlyIfCached) return [];
  if (error.isReason && abortAfterMs !== undefined) return [];
  const failed = (upstream.get(topic) ?? []).some(({ status, beganAt, endedAt }) => status === 'failed' && beganAt <= at && endedAt > askedAt - FAILURE_TOLD_FOR_MS);
  if (error.status !== undefined && failed) return [];
  return [{ kind: 'failed call', at, topic, what: `${about} failed: ${error.name}: ${error.message}` }];
}

/** P5: nobody who asks after it was confirmed gets what began before it: here at once, elsewhere within the bound. */
function judgeInvalidations({ calls, invalidations, record }) {
  const violations = [];
  let worstDelayMs = 0;
  for (const [topic, asked] of calls) {
    const known = invalidations.get(topic).filter(({ at }) => at !== undefined);
    for (const call of asked) {
      if (call.answer === undefined) continue;
      const { askedAt, answer, life } = call;
      for (const invalidation of known) {
        const isHere = invalidation.life === life;
        if (answer.beganAt >= invalidation.calledAt || askedAt <= invalidation.at || !(isHere || invalidation.isConfirmed)) continue;
        const delayMs = askedAt - invalidation.at;
        if (!isHere) worstDelayMs = Math.max(worstDelayMs, delayMs);
        if (delayMs <= (isHere ? 0 : BOUND_MS)) continue;
        const began = Math.round(invalidation.calledAt - answer.beganAt);
        const what = `call ${call.id} (${call.way}, worker ${call.worker}, ${call.outcome.status} of tier ${call.outcome.tier}) got answer ${answer.seq}, begun ${began} ms before invalidation ${invalidation.id}`;
        violations.push({ kind: 'stale answer', at: call.at, topic, what: `${what} in worker ${record.lives[invalidation.life].worker}, asked ${Math.round(delayMs)} ms after it` });
        break;
      }
    }
  }
  return { violations, figures: { worstDelayMs } };
}

/** What was reported as stored is found by everybody, and nothing older takes its place. */
function judgeStored(context) {
  const violations = [];
  let probes = 0;
  for (const [topic, asked] of context.calls) {
    if (context.questions.get(topic).question.kind === 'brief') continue;
    const stored = asked.filter((call) => call.outcome?.stored && call.answer !== undefined && !context.troubles.ofLife(call.life, call.answer.beganAt, call.at));
    for (const call of asked) {
      if (call.at === undefined) continue;
      const before = stored.filter(({ at }) => at < call.askedAt);
      const newest = before.reduce((best, each) => (best === undefined || each.answer.beganAt > best.answer.beganAt ? each : best), undefined);
      if (newest === undefined) continue;
      if (call.control.onlyIfCached && call.error?.name === 'LlmCacheMissError') {
        probes += 1;
        const last = before.at(-1);
        if (!isExcused(context, topic, last, call)) {
          violations.push({ kind: 'lost answer', at: call.at, topic, what: `call ${call.id} (worker ${call.worker}) did not find answer ${last.answer.seq}, which call ${last.id} stored in worker ${last.worker}` });
        }
      }
      if (call.outcome?.tier === 1 && call.outcome.status === 'hit' && call.answer?.beganAt < newest.answer.beganAt && !isOldExcused(context, topic, newest, call)) {
        violations.push({
          kind: 'overwritten answer',
          at: call.at,
          topic,
          what: `call ${call.id} (worker ${call.worker}) found answer ${call.answer.seq} in Redis, older than ${newest.answer.seq}, which call ${newest.id} stored in worker ${newest.worker}`,
        });
      }
    }
  }
  return { violations, figures: { missedProbes: probes } };
}

/** Invalidated, or gone with Redis, or one of the two could not reach it. */
function isExcused({ invalidations, troubles }, topic, stored, probe) {
  if (troubles.restarted(stored.answer.beganAt, probe.at) || troubles.ofLife(probe.life, probe.askedAt, probe.at)) return true;
  return invalidations.get(topic).some(({ calledAt, overAt }) => calledAt < probe.at && overAt > stored.answer.beganAt);
}

/** Who could not get a lease stores without one, and who stood still goes on with what it was reading. */
function isOldExcused({ upstream, troubles, questions }, topic, newest, found) {
  if (questions.get(topic).question.kind === 'nested' || troubles.restarted(newest.answer.beganAt, found.at)) return true;
  const old = upstream.get(topic)?.find(({ seq }) => seq === found.answer.seq);
  return old === undefined || troubles.ofLife(old.life, old.beganAt - BOUND_MS, old.beganAt) || troubles.ofLife(found.life, found.askedAt, found.at);
}
