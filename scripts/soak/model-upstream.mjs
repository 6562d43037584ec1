// P4: one upstream call per question, and another one only for a reason. Pure.
import { BOUND_MS, LEASE_MS } from './settings.mjs';

/** What was computed and not yet stored when its process ended is computed again. */
const STORED_WITHIN_MS = 500;

/**
 * Goes through the upstream calls of each question in the order of their beginnings. A call whose answer was stored leaves
 * no reason for another; what happens after it may give one, and so may its own end.
 *
 * @returns {{ violations: import('./model.mjs').Violation[], figures: Record<string, number> }}
 */
export function judgeUpstream(context) {
  const violations = [];
  const figures = { judged: 0, again: 0, excused: 0, topics: 0 };
  for (const [topic, calls] of context.upstream) {
    if (context.questions.get(topic)?.question.kind === 'brief') continue;
    figures.topics += 1;
    let permits = 1;
    let seenUntil = -Infinity;
    for (const call of calls.sort((one, other) => one.beganAt - other.beganAt)) {
      permits = Math.max(permits, asksAnew(context, topic, seenUntil, call.beganAt)) + wishes(context, topic, seenUntil, call.beganAt);
      seenUntil = call.beganAt;
      const isExcused = context.troubles.ofLife(call.life, call.beganAt, (call.endedAt ?? call.beganAt) + STORED_WITHIN_MS);
      if (isExcused) {
        // Each process computes on its own, and may not have stored it.
        figures.excused += 1;
        permits = Math.max(permits, 1 + waitingFor(context.calls.get(topic) ?? [], call));
        continue;
      }
      figures.judged += 1;
      if (call !== calls[0]) figures.again += 1;
      if (permits > 0) permits -= 1;
      else {
        const earlier = calls.filter(({ beganAt, seq }) => beganAt <= call.beganAt && seq !== call.seq).map(({ seq }) => seq);
        violations.push({ kind: 'upstream asked again', at: call.beganAt, topic, what: `call ${call.seq} without a reason, after ${earlier.join(', ') || 'none'}` });
      }
      permits += inVain(context, topic, call);
      if (lostItsLease(context, topic, call)) violations.push({ kind: 'lease lost', at: call.endedAt, topic, what: `answer ${call.seq} was not stored: its process lost the lease while it ran well` });
    }
  }
  return { violations, figures };
}

/** One more call, however many of these there are: the answer of before does not count any more, or is gone. */
function asksAnew({ invalidations, troubles }, topic, from, until) {
  const wasInvalidated = (invalidations.get(topic) ?? []).some(({ calledAt, overAt }) => calledAt <= until && overAt > from);
  return wasInvalidated || troubles.restarts(from, until) > 0 ? 1 : 0;
}

/** Callers who want one of their own. One whose process ended before it replied never said when it asked. */
function wishes({ calls }, topic, from, until) {
  return (calls.get(topic) ?? []).filter(({ control, sentAt, askedAt = sentAt }) => askedAt > from && askedAt <= until && (control.noCache || control.noStore || control.maxAge !== undefined)).length;
}

/** How many more may ask because nobody got this answer out of the store: its caller's outcome says why. */
function inVain({ calls, invalidations, record, troubles }, topic, call) {
  const { seq, life, status, beganAt, endedAt = beganAt } = call;
  const asked = calls.get(topic) ?? [];
  const over = endedAt + STORED_WITHIN_MS;
  const waiting = waitingFor(asked, call);
  if (status !== 'answered') return 1;
  const { endingAt = Infinity } = record.lives[life];
  if (endingAt >= beganAt && endingAt <= over + BOUND_MS) return 1;
  const outcomes = asked.filter(({ answer }) => answer?.seq === seq).map(({ outcome }) => outcome);
  if (outcomes.some(({ stored }) => stored)) return 0;
  const wasOvertaken = asked.some(({ control, askedAt }) => control.noCache && askedAt >= beganAt - STORED_WITHIN_MS && askedAt <= over);
  const wasInvalidated = (invalidations.get(topic) ?? []).some((each) => each.calledAt <= over && each.overAt >= beganAt);
  if (wasInvalidated || wasOvertaken) return 1 + waiting;
  if (outcomes.some(({ reason }) => reason === 'no-store')) return 1 + waiting;
  // Whoever waited for it was in trouble, and asked for itself.
  return asked.some((each) => each.askedAt < over && (each.at ?? Infinity) > beganAt && troubles.ofLife(each.life, beganAt, over)) ? 1 : 0;
}

/** A lease is taken over by who wants a newer answer, or goes with the entry that is removed; else a process that runs extends it in time. */
function lostItsLease({ calls, invalidations, record, troubles }, topic, { seq, life, beganAt, endedAt = beganAt }) {
  const asked = calls.get(topic) ?? [];
  const over = endedAt + STORED_WITHIN_MS;
  const loser = asked.find(({ answer, outcome }) => answer?.seq === seq && outcome.reason === 'lease-lost');
  if (loser === undefined || troubles.heldUpMs(record.lives[life].worker, beganAt, loser.at, LEASE_MS / 3) > 0) return false;
  const isOvertaken = asked.some(({ control, askedAt }) => control.noCache && askedAt >= beganAt - BOUND_MS && askedAt <= over);
  return !isOvertaken && !(invalidations.get(topic) ?? []).some((each) => each.calledAt <= over && each.endedAt >= beganAt - BOUND_MS);
}

/** In how many other processes callers waited for it. */
function waitingFor(asked, { life, beganAt, endedAt = beganAt }) {
  return new Set(asked.filter((each) => each.life !== life && each.askedAt < endedAt + STORED_WITHIN_MS && (each.at ?? Infinity) > endedAt).map((each) => each.life)).size;
}
