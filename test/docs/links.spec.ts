import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { pages, proseOf, root, textOf } from './documentation.js';

// Links are followed as far as this repository goes; nothing here uses a network.

interface Link {
  target: string;
  page: string;
}

const links: Link[] = pages.flatMap((page) =>
  [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g), ...proseOf(page).matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)].map(([, target]) => ({ page, target: target! })),
);
const isExternal = ({ target }: Link): boolean => /^[a-z][a-z+.-]*:/i.test(target);
const internal = links.filter((link) => !isExternal(link));

/** The path below the root and the heading that a link means. */
function destination({ page, target }: Link): { path: string; anchor: string | undefined } {
  const [file = '', anchor] = target.split('#');
  return { path: file === '' ? page : normalize(join(dirname(page), file)), anchor };
}

/** The anchors GitHub gives the headings of a page. */
function anchorsOf(page: string): Set<string> {
  const seen = new Map<string, number>();
  const withoutCode = textOf(page).replaceAll(/^```[\s\S]*?^```$/gm, '');
  const anchors = [...withoutCode.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) => {
    const slug = heading!.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').trim().replaceAll(/\s/g, '-');
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    return count === 0 ? slug : `${slug}-${count}`;
  });
  return new Set(anchors);
}

const shown = ({ page, target }: Link): string => `${page} -> ${target}`;

describe('the documentation links', () => {
  it('to files that exist', () => {
    expect(internal.length).toBeGreaterThan(50);
    expect(internal.filter((link) => !existsSync(join(root, destination(link).path))).map(shown)).toEqual([]);
  });

  it('to headings that exist', () => {
    const anchored = internal.filter((link) => destination(link).anchor !== undefined);
    const broken = anchored.filter((link) => {
      const { path, anchor } = destination(link);
      return !path.endsWith('.md') || !existsSync(join(root, path)) || !anchorsOf(path).has(anchor!);
    });
    expect(broken.map(shown)).toEqual([]);
  });

  it('to the outside by https, with nothing local in them', () => {
    const wrong = links.filter(isExternal).filter(({ target }) => !/^https:\/\/[a-z0-9.-]+\.[a-z]{2,}(?:[/#?]\S*)?$/.test(target) || !URL.canParse(target));
    expect(wrong.map(shown)).toEqual([]);
  });

  it('from its index to every page', () => {
    const indexed = new Set(internal.filter(({ page }) => page === 'docs/README.md').map((link) => destination(link).path));
    expect(pages.filter((page) => page.startsWith('docs/') && page !== 'docs/README.md' && !indexed.has(page))).toEqual([]);
  });

  it('from the pages that lead to others: the README and ARCHITECTURE name the index', () => {
    const toIndex = internal.filter((link) => ['docs', 'docs/', 'docs/README.md'].includes(destination(link).path)).map(({ page }) => page);
    expect(toIndex).toEqual(expect.arrayContaining(['README.md', 'ARCHITECTURE.md']));
  });

  it('to pages that the package carries: what is not published is not linked from what is', () => {
    const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] };
    const published = (path: string): boolean => files.some((entry) => path === entry || path.startsWith(`${entry}/`));
    expect(internal.filter((link) => published(link.page) && !published(destination(link).path)).map(shown)).toEqual([]);
  });

  it('as GitHub does: this check itself', () => {
    expect([...anchorsOf('docs/keys.md')]).toEqual(expect.arrayContaining(['keys', 'what-is-equal', 'why-did-it-miss']));
  });
});

describe('the commands that pages show', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  const commands = pages.flatMap((page) =>
    [...textOf(page).matchAll(/\bnpm (?:run ([\w:-]+)|(test|start)\b)/g)].map(([, script, builtIn]) => ({ page, script: script ?? builtIn! })),
  );

  it('are scripts that exist', () => {
    expect(commands.length).toBeGreaterThan(4);
    expect(commands.filter(({ script }) => !(script in scripts)).map(({ page, script }) => `${page}: ${script}`)).toEqual([]);
  });
});
