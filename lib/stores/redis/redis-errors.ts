/** The error, with a `code` for the log: a word that says what is wrong, and holds no content. */
export function withCode(error: Error): Error {
  const code = codeOf(error);
  return code === undefined ? error : Object.assign(error, { code });
}

/** Node's own, such as `ECONNREFUSED`, or what Redis begins a refusal with, such as `WRONGPASS`; of the first cause that has one. */
function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { code, message, errors, cause } = error as Partial<AggregateError & { code: unknown }>;
  if (typeof code === 'string') return code;
  const [, word] = /^([A-Z]+) /.exec(message ?? '') ?? [];
  return word ?? codeOf(errors?.[0] ?? cause);
}
