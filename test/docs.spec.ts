import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { blocksOf, root, writeBlocks } from './docs/documentation.js';

// Every TypeScript block of the documentation is compiled as a strict user's project would, and what can run, runs:
// the tests that pages show here, `examples` in docs/examples.spec.ts, the recipes in docs/recipes.spec.ts.

const blocks = blocksOf();
const generated = writeBlocks(blocks, 'all');

function problems(): string[] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile) as { config: object };
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root);
  const globals = join(generated, 'globals.d.ts');
  writeFileSync(globals, "type Jest = typeof import('@jest/globals');\ndeclare const it: Jest['it'], describe: Jest['describe'], expect: Jest['expect'], beforeEach: Jest['beforeEach'];\n");
  const program = ts.createProgram([...blocks.map(({ file }) => join(generated, file)), globals], { ...options, noEmit: true });
  return ts
    .getPreEmitDiagnostics(program)
    .filter(({ file }) => file?.fileName.includes('.generated'))
    .map(({ file, messageText }) => `${relative(generated, file!.fileName)}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
}

describe('the code of the documentation', () => {
  it('has no two blocks of one name', () => {
    const files = blocks.map(({ file }) => file);
    expect(files).toEqual([...new Set(files)]);
  });

  it('compiles', () => expect(problems()).toEqual([]), 60_000);
});

// The tests that the pages show register themselves here.
for (const { file } of blocks) if (file.endsWith('.spec.ts')) await import(join(generated, file));
