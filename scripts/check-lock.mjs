// Fails when a package-lock.json would break `npm ci` on another platform or from another registry.
//   node scripts/check-lock.mjs [path/to/package-lock.json ...]
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const LOCKS = ['../package-lock.json', '../test/keyv-suite/package-lock.json'];

const EXACT_VERSION = /^\d+\.\d+\.\d+(?:[-+].*)?$/;

/** Where Node would look for `name` from the package at `from`: nearest node_modules first. */
function* candidates(from, name) {
  for (let folder = from; ; ) {
    yield `${folder === '' ? '' : `${folder}/`}node_modules/${name}`;
    if (folder === '') return;
    const parent = folder.lastIndexOf('node_modules/');
    folder = parent <= 0 ? '' : folder.slice(0, parent - 1);
  }
}

function find(packages, from, name) {
  for (const path of candidates(from, name)) {
    if (packages[path] !== undefined) return packages[path];
  }
  return undefined;
}

function missingBinaries(packages) {
  const problems = [];
  for (const [path, entry] of Object.entries(packages)) {
    const owner = path === '' ? 'this package' : `${path.split('node_modules/').at(-1)}@${entry.version}`;
    for (const [name, wanted] of Object.entries(entry.optionalDependencies ?? {})) {
      const found = find(packages, path, name)?.version;
      if (found === undefined) {
        problems.push(`${owner} needs ${name}@${wanted} on some platform, and the lock does not have it`);
      } else if (EXACT_VERSION.test(wanted) && found !== wanted) {
        problems.push(`${owner} needs ${name}@${wanted}, and the lock has ${found}`);
      }
    }
  }
  return problems;
}

function registryAddresses(packages) {
  return Object.entries(packages)
    .filter(([, entry]) => typeof entry.resolved === 'string' && entry.resolved.includes('://'))
    .map(([path, entry]) => `${path} is tied to ${entry.resolved}`);
}

function check(file) {
  const { packages = {} } = JSON.parse(readFileSync(file, 'utf8'));
  const missing = missingBinaries(packages);
  const resolved = registryAddresses(packages);

  if (missing.length > 0) {
    console.error(`${file} lacks binaries that other platforms need; \`npm ci\` would fail there:
${missing.map((line) => `  - ${line}`).join('\n')}
Cure: the registry in use has no such file for this release yet. Pin the package (or add it to "overrides")
at the newest release that has all of them, then: rm -rf node_modules package-lock.json && npm install\n`);
  }
  if (resolved.length > 0) {
    console.error(`${file} names registry addresses; whoever uses another registry could not install:
${resolved.map((line) => `  - ${line}`).join('\n')}
Cure: npm config set omit-lockfile-registry-resolved true, then: rm package-lock.json && npm install\n`);
  }
  if (missing.length + resolved.length > 0) {
    process.exitCode = 1;
  } else {
    console.log(`${file}: ${Object.keys(packages).length} packages, every platform's binaries present, no registry addresses`);
  }
}

const locks = process.argv.length > 2 ? process.argv.slice(2) : LOCKS.map((lock) => relative('.', fileURLToPath(new URL(lock, import.meta.url))));
locks.forEach(check);
