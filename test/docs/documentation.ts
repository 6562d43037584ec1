import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));

/** Every page that a reader gets, as a path below the root. */
export const pages: readonly string[] = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', ...below('docs')];

function below(folder: string): string[] {
  const files = readdirSync(join(root, folder), { recursive: true }) as string[];
  const markdown = files.filter((file) => file.endsWith('.md') && !file.startsWith(`api${sep}`));
  return markdown.map((file) => join(folder, file).split(sep).join('/')).sort();
}

export function textOf(page: string): string {
  return readFileSync(join(root, page), 'utf8');
}

/** A page without its code: what looks like a link or a heading in there is none. */
export function proseOf(page: string): string {
  return textOf(page).replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, '``');
}

export interface Block {
  page: string;
  file: string;
  code: string;
}

/** The TypeScript blocks of the pages whose path starts so. Each begins with the name of its file. */
export function blocksOf(prefix = ''): Block[] {
  return pages
    .filter((page) => page.startsWith(prefix))
    .flatMap((page) =>
      [...textOf(page).matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code]) => {
        const file = /^\/\/ (\S+\.ts)\n/.exec(code!)?.[1];
        if (file === undefined) throw new Error(`${page}: a block must start with its file's name: // some.file.ts`);
        return { page, file, code: code! };
      }),
    );
}

/** Writes blocks into a folder of the test's own, where they are compiled and imported. */
export function writeBlocks(blocks: readonly Block[], name: string): string {
  const folder = join(root, 'test/.generated', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { file, code } of blocks) writeFileSync(join(folder, file), code);
  return folder;
}

/** The first column of a table, without its back-quotes; the table is the one whose header starts so. */
export function firstColumn(page: string, header: string): string[] {
  const table = textOf(page).split(`\n| ${header} |`)[1]?.split('\n\n')[0];
  if (table === undefined) throw new Error(`${page} has no table "${header}"`);
  return [...table.matchAll(/^\| (`?)([^|]+?)\1 \|/gm)].map(([, , cell]) => cell!).filter((cell) => !/^-+$/.test(cell));
}
