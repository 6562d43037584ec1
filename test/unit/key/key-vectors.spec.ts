import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { keyOf, type KeyDocument } from '../../../lib/key/key.js';
import { valueOf } from '../../fixtures/values.js';

interface Vector {
  title: string;
  /** Over the base document; values beyond JSON as in `test/fixtures/values.ts`. */
  document: unknown;
  key: string;
}

const FILE = new URL('../../fixtures/key-vectors.json', import.meta.url);
const file = JSON.parse(readFileSync(FILE, 'utf8')) as { comment: string[]; schema: string; base: unknown; vectors: Vector[] };

// oxlint-disable-next-line node/no-process-env -- regenerating is a decision, see the comment in the file
if (process.env['REGENERATE_KEY_VECTORS'] === 'yes') regenerate();

describe('key vectors: a change of the key format makes every stored answer unreachable', () => {
  it.each(file.vectors)('$title', ({ document, key }) => {
    expect(keyOf(documentOf(document))).toBe(key);
  });

  it('differ from each other and carry the schema they were made for', () => {
    const keys = file.vectors.map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.filter((key) => !key.startsWith(`${file.schema}.`))).toEqual([]);
  });
});

function documentOf(written: unknown): KeyDocument {
  return { ...(valueOf(file.base) as KeyDocument), ...(valueOf(written) as Partial<KeyDocument>) };
}

function regenerate(): void {
  for (const vector of file.vectors) vector.key = keyOf(documentOf(vector.document));
  file.schema = file.vectors[0]!.key.split('.')[0]!;
  const lines = file.vectors.map((vector) => `    ${asciiJson(vector)}`);
  const { comment, schema, base } = file;
  const head = JSON.stringify({ comment, schema, base }, null, 2).replace(/\n\}$/, '');
  writeFileSync(FILE, `${head},\n  "vectors": [\n${lines.join(',\n')}\n  ]\n}\n`);
}

/** Lone surrogates and look-alikes survive editors as escapes. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
