import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** A SQLite file and what belongs to it, such as the write-ahead log, as they are on the disk now. */
export function filesAtRest(path) {
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(basename(path)))
    .map((name) => ({ name, bytes: readFileSync(join(dirname(path), name)) }));
}

/** The files that hold a text. */
export function filesWith(files, text) {
  return files.filter(({ bytes }) => bytes.includes(text)).map(({ name }) => name);
}

/** The entry whose answer is a text with this in it, as its bytes are: a format and a checksum, a header, the answer. */
export function entryWith(files, text) {
  const entries = files.flatMap(({ bytes }) => [...bytes.toString('utf8').matchAll(/llm-cache\/1 \S+\n(\{[^\n]*\})\n(j"[^"\n]*")/g)]);
  const [, header, payload] = entries.findLast(([, , answer]) => answer.includes(text)) ?? [];
  return payload === undefined ? undefined : { header, payload };
}
