// What is asked. The same texts are asked by every kind of call and in every scope: only the key keeps them apart.

/** Kinds of call, each with the name its entries have and the ways to ask. */
const KINDS = {
  chat: { name: 'soak', ways: ['chat', 'stream', 'batch'] },
  method: { name: 'explain', ways: ['method'] },
  wrap: { name: 'wrap', ways: ['wrap'] },
  wrapStream: { name: 'wrapStream', ways: ['wrapStream'] },
  // A decorated method that asks LlmService: what reaches upstream is the inner question.
  nested: { name: 'summarize', ways: ['nested'], innerName: 'soak' },
  // Short-lived, and served stale while it is renewed.
  brief: { name: 'brief', ways: ['brief'] },
};
const SCOPES = [undefined, 'red', 'blue'];
const TEXTS = ['alpha', 'beta', 'gamma', 'slow'];

/**
 * @typedef {object} Question
 * @property {string} kind
 * @property {string} text
 * @property {string | undefined} scope
 * @property {string[]} ways to ask it
 * @property {string[]} names of the entries its answer is made of
 * @property {string[]} tags
 * @property {string} upstream what upstream is asked
 */

/** @type {Question[]} */
export const QUESTIONS = Object.entries(KINDS).flatMap(([kind, { name, ways, innerName }]) =>
  SCOPES.flatMap((scope) =>
    TEXTS.map((text) => ({
      kind,
      text,
      scope,
      ways,
      names: innerName === undefined ? [name] : [name, innerName],
      tags: tagsOf(kind, text),
      upstream: `${kind}/${text}`,
    })),
  ),
);

/** The texts of a batch share the tags that it is given. */
export function tagsOf(kind, text) {
  return kind === 'chat' ? ['kind:chat', 'text:any'] : [`kind:${kind}`, `text:${text}`];
}

/** Two calls of one topic share their answer. */
export function topicOf(question, version) {
  return `${question.upstream}/${question.scope ?? '-'}/v${version}`;
}

/** Whether an invalidation means the answers of a topic. Versions share their tags, names and scopes. */
export function touches({ target, version: bumpedBy }, question, version) {
  if (target === 'everything') return true;
  if (target.key !== undefined) return bumpedBy === version && target.key === question.upstream && target.keyScope === question.scope;
  return (
    (target.scope !== undefined && target.scope === question.scope) ||
    (target.name !== undefined && question.names.includes(target.name)) ||
    (target.tags ?? []).some((tag) => question.tags.includes(tag))
  );
}
