import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open as openFile, stat, truncate } from 'node:fs/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { answerTo, FireFixture, seeded, type Caller, type Lost } from '../fixtures/sqlite/under-fire.js';

// Damage in place: whatever happens to the bytes, a call gets the right answer.

const ENTRIES = 48;

type Where = 'in the file, closed' | 'in the file, open' | 'in the WAL, open';

interface Damage {
  readonly trouble: string;
  readonly inflict: (path: string) => Promise<void>;
  readonly lost: Lost;
  /** Where the data is when the damage comes. */
  readonly where: readonly Where[];
}

async function write(path: string, position: number, bytes: Buffer): Promise<void> {
  const file = await openFile(path, 'r+');
  await file.write(bytes, 0, bytes.length, position);
  await file.close();
}

const sizeOf = async (path: string) => (await stat(path)).size;

async function flipBits(path: string, seed: number): Promise<void> {
  const below = seeded(seed);
  const bytes = readFileSync(path);
  for (let flip = 0; flip < 200; flip += 1) bytes[below(bytes.length)]! ^= 1 << below(8);
  await write(path, 0, bytes);
}

const cutInHalf = async (path: string) => truncate(path, Math.floor((await sizeOf(path)) / 2));
const zeroHead = (path: string) => write(path, 0, Buffer.alloc(8192));
const zero = async (path: string) => write(path, 0, Buffer.alloc(await sizeOf(path)));
const empty = (path: string) => truncate(path, 0);
const fillWithGarbage = async (path: string) => write(path, 0, Buffer.alloc(await sizeOf(path), 'not a database. '));

const IN_FILE: readonly Where[] = ['in the file, closed', 'in the file, open'];
const IN_WAL: readonly Where[] = ['in the WAL, open'];
const OPEN: readonly Where[] = ['in the file, open', 'in the WAL, open'];

/** Where the database itself is damaged and the data is still in the WAL, SQLite reads it from there. */
function ofDatabase(trouble: string, inflict: Damage['inflict']): Damage[] {
  return [
    { trouble, inflict, lost: 'everything in the file', where: IN_FILE },
    { trouble, inflict, lost: 'nothing', where: IN_WAL },
  ];
}

function ofWal(trouble: string, inflict: Damage['inflict'], lost: Lost = 'everything in the file'): Damage {
  return { trouble, inflict: (path) => inflict(`${path}-wal`), lost, where: IN_WAL };
}

const DAMAGE: readonly Damage[] = [
  ...ofDatabase('cut in half', cutInHalf),
  ...ofDatabase('its first 8 KB zeroed', zeroHead),
  ...ofDatabase('zeroed', zero),
  ...ofDatabase('emptied', empty),
  ...ofDatabase('garbage', fillWithGarbage),
  ...[1, 2, 3].map((seed): Damage => ({ trouble: '200 bits flipped', inflict: (path) => flipBits(path, seed), lost: 'the damaged entries', where: IN_FILE })),
  ofWal('`-wal` cut in half', cutInHalf, 'the damaged entries'),
  ofWal('`-wal` emptied', empty),
  ofWal('`-wal` garbage', fillWithGarbage),
  ofWal('`-wal`, 200 bits flipped', (path) => flipBits(path, 5), 'the damaged entries'),
  { trouble: '`-shm` garbage', inflict: (path) => fillWithGarbage(`${path}-shm`), lost: 'nothing', where: OPEN },
  { trouble: '`-shm` zeroed', inflict: (path) => zero(`${path}-shm`), lost: 'nothing', where: OPEN },
];

const cases = DAMAGE.flatMap(({ where, ...damage }) => where.map((place) => ({ ...damage, place })));

let template: Buffer;
let fixture: FireFixture;
beforeAll(async () => {
  const first = await FireFixture.create();
  const caller = first.open();
  await caller.askAll(ENTRIES);
  await caller.close();
  template = readFileSync(first.path);
  await first.dispose();
});
beforeEach(async () => (fixture = await FireFixture.create()));
afterEach(() => fixture.dispose());

/** A cache over a file with the answers to all questions. */
async function filled(place: Where): Promise<Caller> {
  mkdirSync(fixture.store);
  if (place !== 'in the WAL, open') writeFileSync(fixture.path, template);
  const caller = fixture.open();
  if (place === 'in the file, open') expect(await caller.ask(0)).toBe(answerTo(0));
  if (place === 'in the WAL, open') {
    await caller.askAll(ENTRIES);
    expect(await sizeOf(`${fixture.path}-wal`)).toBeGreaterThan(template.length / 2);
    caller.forget();
  }
  return caller;
}

describe('a damaged file', () => {
  it.each(cases)('$trouble, the data $place: every answer is right, and $lost is lost', async ({ place, inflict, lost }) => {
    const caller = await filled(place);
    await inflict(fixture.path);
    await caller.askAll(ENTRIES);
    // What was served before the damage was found goes upstream now.
    await caller.askAll(ENTRIES);
    expect(await caller.askAll(ENTRIES)).toBe(0);
    await caller.close();
    const reopened = fixture.open();
    await reopened.askAll(ENTRIES);
    await reopened.askAll(ENTRIES);
    expect(await reopened.askAll(ENTRIES)).toBe(0);
    await reopened.close();
    expect(await fixture.open().askAll(ENTRIES)).toBe(0);

    expect(caller.failures + reopened.failures).toBe(0);
    const paid = caller.upstream + reopened.upstream;
    if (lost === 'nothing') expect(paid).toBe(0);
    if (lost === 'everything in the file') expect(paid).toBe(ENTRIES);
    if (lost === 'the damaged entries') {
      // What was written before SQLite noticed is lost with the file.
      expect(paid).toBeGreaterThan(0);
      expect(paid).toBeLessThanOrEqual(2 * ENTRIES);
    }
    const warnings = [...caller.warnings, ...reopened.warnings];
    expect(warnings).toEqual((await fixture.quarantined()).map((name) => expect.stringContaining(name)));
  }, 15_000);
});
