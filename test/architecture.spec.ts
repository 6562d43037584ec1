import { describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** The house, top to bottom: a folder imports only from folders above it. `index.ts` is last. */
const HOUSE = [
  'core', 'observability', 'key', 'redaction', 'policy', 'stores', 'streaming', 'engine', 'llm', 'decorator', 'module', 'testing', 'cli', 'index.ts',
];

/** Packages that only one folder may import. */
const CONFINED: Record<string, string> = { keyv: 'stores', 'cache-manager': 'stores', 'lru-cache': 'stores', '@nestjs/cache-manager': 'stores', cockatiel: 'stores', libsql: 'stores', '@keyv/redis': 'stores' };

/** Most lines of a file in these folders, and of any other. */
const NEST_FACING = new Set(['decorator', 'module']);
const MAX_LINES = { nestFacing: 170, other: 300 };

const LIB = fileURLToPath(new URL('../lib', import.meta.url));

interface SourceFile {
  /** Path below `lib`, with forward slashes. */
  readonly path: string;
  readonly folder: string;
  readonly lines: number;
  /** Paths below `lib`, type-only imports included. */
  readonly imports: readonly string[];
  readonly packages: readonly string[];
}

function sourceFiles(): Map<string, SourceFile> {
  const paths = (readdirSync(LIB, { recursive: true }) as string[]).filter((path) => /\.c?ts$/.test(path));
  return new Map(paths.map((path) => path.split(sep).join('/')).map((path) => [path, read(path)]));
}

function read(path: string): SourceFile {
  const text = readFileSync(join(LIB, path), 'utf8');
  const specifiers = ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
  const [relatives, packages] = [specifiers.filter((name) => name.startsWith('.')), specifiers.filter((name) => !name.startsWith('.'))];
  return {
    path,
    folder: path.split('/')[0]!,
    lines: text.trimEnd().split('\n').length,
    imports: relatives.map((specifier) => resolveImport(path, specifier)),
    packages: packages.map((name) => name.split('/').slice(0, name.startsWith('@') ? 2 : 1).join('/')),
  };
}

function resolveImport(from: string, specifier: string): string {
  const target = resolve(LIB, dirname(from), specifier).replace(/\.(c?)js$/, '.$1ts');
  if (!existsSync(target)) throw new Error(`${from} imports ${specifier}, which is no file of lib`);
  return relative(LIB, target).split(sep).join('/');
}

/** Strongly connected files, found by Tarjan's algorithm. */
function cycles(files: ReadonlyMap<string, SourceFile>): string[][] {
  const found: string[][] = [];
  const indices = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const visit = (path: string): void => {
    indices.set(path, indices.size);
    low.set(path, indices.get(path)!);
    stack.push(path);
    for (const next of files.get(path)!.imports) {
      if (!indices.has(next)) visit(next);
      if (stack.includes(next)) low.set(path, Math.min(low.get(path)!, low.get(next)!));
    }
    if (low.get(path) !== indices.get(path)) return;
    const component = stack.splice(stack.indexOf(path));
    if (component.length > 1 || files.get(path)!.imports.includes(path)) found.push(component.sort());
  };
  for (const path of files.keys()) if (!indices.has(path)) visit(path);
  return found;
}

const files = sourceFiles();
const all = [...files.values()];

describe('lib', () => {
  it('has only the folders of the house', () => {
    expect(all.length).toBeGreaterThan(40);
    expect([...new Set(all.map(({ folder }) => folder))].filter((folder) => !HOUSE.includes(folder))).toEqual([]);
  });

  it('imports downwards never: a folder imports only from folders above it', () => {
    const wrong = all.flatMap(({ path, folder, imports }) =>
      imports.filter((target) => HOUSE.indexOf(target.split('/')[0]!) > HOUSE.indexOf(folder)).map((target) => `${path} -> ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it('has no cycle of imports between files, type-only imports included', () => {
    expect(cycles(files)).toEqual([]);
  });

  it('imports what is confined from one folder only', () => {
    const wrong = all.flatMap(({ path, folder, packages }) =>
      packages.filter((name) => name in CONFINED && CONFINED[name] !== folder).map((name) => `${path} imports ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  it('imports Nest only where it faces Nest, and no LLM SDK at all', () => {
    const engine = new Set(HOUSE.slice(0, HOUSE.indexOf('decorator')));
    const wrong = all.flatMap(({ path, folder, packages }) =>
      packages
        .filter((name) => (name.startsWith('@nestjs/') && engine.has(folder)) || /openai|anthropic|langchain|^ai$/.test(name))
        .map((name) => `${path} imports ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  it('imports no package that package.json does not name', () => {
    const manifest = JSON.parse(readFileSync(join(LIB, '../package.json'), 'utf8')) as Record<'dependencies' | 'peerDependencies', object>;
    const named = new Set([...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies)]);
    const missing = all.flatMap(({ packages }) => packages).filter((name) => !name.startsWith('node:') && !named.has(name));
    expect([...new Set(missing)]).toEqual([]);
  });

  it('has files of one concept: at most 300 lines, and 170 where it faces Nest', () => {
    const limit = (folder: string): number => (NEST_FACING.has(folder) ? MAX_LINES.nestFacing : MAX_LINES.other);
    expect(all.filter(({ folder, lines }) => lines > limit(folder)).map(({ path, lines }) => `${path}: ${lines} lines`)).toEqual([]);
  });

  it('exports by name only', () => {
    const wrong = all.filter(({ path }) => /^export (\*|default)/m.test(readFileSync(join(LIB, path), 'utf8')) && !path.endsWith('.cts'));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });
});

describe('this check itself', () => {
  it('finds cycles', () => {
    const file = (path: string, ...imports: string[]): [string, SourceFile] => [path, { path, folder: 'core', lines: 1, imports, packages: [] }];
    const graph = new Map([file('a', 'b'), file('b', 'c'), file('c', 'a', 'd'), file('d'), file('e', 'e')]);
    expect(cycles(graph)).toEqual([['a', 'b', 'c'], ['e']]);
  });
});
