import { existsSync, readdirSync, readFileSync, rmSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { LlmCacheModule } from 'nestjs-llm-cache';
import { FakeLlmProvider, LlmCacheTestingModule } from 'nestjs-llm-cache/testing';
import ts from 'typescript';

// Every TypeScript block of the documentation is compiled as a strict user's project would, and what can run, runs.

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const generated = join(root, 'test/.generated');

const pages = ['README.md', 'ARCHITECTURE.md', ...list('docs'), ...list('docs/decisions')];

function list(folder: string): string[] {
  return readdirSync(join(root, folder)).filter((file) => file.endsWith('.md')).map((file) => join(folder, file));
}

interface Block {
  page: string;
  file: string;
  code: string;
}

function blocksOf(page: string): Block[] {
  const blocks = [...readFileSync(join(root, page), 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)];
  return blocks.map(([, code]) => {
    const file = /^\/\/ (\S+\.ts)\n/.exec(code!)?.[1];
    if (file === undefined) throw new Error(`${page}: a block must start with its file's name: // some.file.ts`);
    return { page, file, code: code! };
  });
}

function write(): Block[] {
  rmSync(generated, { recursive: true, force: true });
  mkdirSync(generated, { recursive: true });
  const blocks = pages.flatMap(blocksOf);
  for (const { file, code } of blocks) writeFileSync(join(generated, file), code);
  return blocks;
}

const blocks = write();

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

describe('the documentation', () => {
  it('has no two blocks of one name', () => {
    const files = blocks.map(({ file }) => file);
    expect(files).toEqual([...new Set(files)]);
  });

  it('compiles', () => expect(problems()).toEqual([]), 60_000);

  it.each(pages)('%s links to what exists', (page) => {
    const text = readFileSync(join(root, page), 'utf8');
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)].map(([, target]) => target!);
    expect(links.filter((target) => !existsSync(join(root, dirname(page), target)))).toEqual([]);
  });

  it('ARCHITECTURE.md names files that exist', () => {
    const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
    const files = [...text.matchAll(/`((?:core|key|policy|stores|engine|llm|decorator|module|observability)\/[\w.-]+\.ts)`/g)];
    expect(files.map(([, file]) => file!).filter((file) => !existsSync(join(root, 'lib', file)))).toEqual([]);
    expect(files.length).toBeGreaterThan(10);
  });

  it("the README's options are the module's options", async () => {
    const { engineOptionRules } = await import('../lib/engine/engine-options.js');
    const table = /\| option \| default \|[\s\S]*?\n\n/.exec(readFileSync(join(root, 'README.md'), 'utf8'))![0];
    const documented = [...table.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name!);
    expect(documented.sort()).toEqual([...Object.keys(engineOptionRules), 'provider', 'isGlobal'].sort());
  });

  it("the README's app runs", async () => {
    const { AppModule } = (await import(join(generated, 'app.module.ts'))) as { AppModule: never };
    const { TicketsService } = (await import(join(generated, 'tickets.service.ts'))) as { TicketsService: never };
    const { examples: control } = (await import(join(generated, 'control.ts'))) as { examples: (tickets: unknown, ticket: string) => Promise<void> };
    const provider = new FakeLlmProvider('a summary');
    const app = await Test.createTestingModule({ imports: [AppModule] })
      .overrideModule(LlmCacheModule)
      .useModule(LlmCacheTestingModule.forRoot({ provider }))
      .compile();
    await control(app.get(TicketsService), 'a ticket');
    expect(provider.calls.map(({ model, temperature }) => [model, temperature])).toEqual([
      ['gpt-4o-mini', 0], // noCache
      ['gpt-4o-mini', 0], // sample
    ]);
    await app.close();
  });
});

// The tests that the pages show register themselves here.
for (const { file } of blocks) if (file.endsWith('.spec.ts')) await import(join(generated, file));
