// What a detector finds in labelled texts, for scripts/eval-pii.mjs and the tests.

/**
 * @typedef {{ start: number, end: number, type: string }} Span
 * @typedef {{ text: string, spans: Span[], label?: string }} LabelledText
 */

const overlaps = (a, b) => a.start < b.end && b.start < a.end;

/** Whether spans of any type cover each letter and digit of a labelled value. */
function isCovered(text, { start, end }, found) {
  for (let at = start; at < end; ) {
    const character = String.fromCodePoint(text.codePointAt(at));
    const place = at;
    if (/[\p{L}\p{N}]/u.test(character) && !found.some((span) => span.start <= place && place < span.end)) return false;
    at += character.length;
  }
  return true;
}

const shown = (text, { type, start, end }) => `${type} ${JSON.stringify(text.slice(start, end))}`;

/**
 * @param {LabelledText[]} texts
 * @param {(text: string) => Span[]} detect
 * @param {readonly string[]} types whose labels count
 */
export function measurePii(texts, detect, types) {
  const rows = new Map(types.map((type) => [type, { type, labelled: 0, found: 0, predicted: 0, right: 0 }]));
  /** @type {string[]} */
  const outside = [];
  /** @type {string[]} */
  const missed = [];
  /** @type {Map<string, { kind: string, texts: number, flagged: number }>} */
  const negatives = new Map();
  let ms = 0;
  for (const { text, spans, label = '' } of texts) {
    const startedAt = performance.now();
    const predictions = detect(text);
    ms += performance.now() - startedAt;
    for (const span of spans.filter(({ type }) => rows.has(type))) {
      const row = rows.get(span.type);
      row.labelled++;
      if (isCovered(text, span, predictions)) row.found++;
      else missed.push(shown(text, span));
    }
    for (const span of predictions) {
      const row = rows.get(span.type);
      const labels = spans.filter((one) => overlaps(one, span));
      row.predicted++;
      if (labels.some(({ type }) => type === span.type)) row.right++;
      if (labels.length === 0) outside.push(`${shown(text, span)} in ${JSON.stringify(text.slice(0, 100))}`);
    }
    if (spans.length > 0) continue;
    const kind = label.startsWith('randid') ? 'random ids' : 'texts without labels';
    const counted = negatives.get(kind) ?? { kind, texts: 0, flagged: 0 };
    negatives.set(kind, { ...counted, texts: counted.texts + 1, flagged: counted.flagged + (predictions.length > 0 ? 1 : 0) });
  }
  return { rows: [...rows.values()], outside, missed, negatives: [...negatives.values()], ms };
}
