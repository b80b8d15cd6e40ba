import {mkdir, readdir, readFile, readlink, symlink, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect, test, vi} from 'vitest';
import {type FileLock, type LockClock, STALE_MS, takeLock} from '../../src/places/file-lock.ts';
import {runProgram} from '../support/program.ts';
import {tempDirectory} from '../support/temp.ts';

const SOURCES = new URL('../../src/', import.meta.url).href;
const LATER = {waitMs: Number.POSITIVE_INFINITY};
const AT_ONCE = {waitMs: 0};

/** A clock that goes on by itself whenever somebody waits for it. */
class Clock implements LockClock {
  /** Called before each wait. */
  onSleep: ((nowMs: number) => Promise<void>) | undefined;
  #now = 0;

  now(): number {
    return this.#now;
  }

  async sleep(ms: number): Promise<void> {
    await this.onSleep?.(this.#now);
    this.#now += ms;
  }
}

async function taken(path: string, options: Parameters<typeof takeLock>[1]): Promise<FileLock> {
  const attempt = await takeLock(path, options);
  if (attempt.kind === 'busy') throw new Error(`${attempt.owner} has the lock`);
  return attempt.lock;
}

/** What this very process writes into its locks. */
async function ownRecord(): Promise<Record<string, unknown>> {
  await using temp = await tempDirectory();
  await using _ = await taken(temp.join('lock'), AT_ONCE);
  const [name = ''] = await readdir(temp.join('lock'));
  return JSON.parse(await readFile(temp.join('lock', name), 'utf8')) as Record<string, unknown>;
}

/** A lock as another process would have made it. */
async function plant(path: string, record: unknown): Promise<string> {
  await mkdir(path);
  const file = join(path, 'other');
  await writeFile(file, typeof record === 'string' ? record : JSON.stringify(record));
  return file;
}

/** Takes the lock in a process of its own, then does as it is told. */
function holder(path: string, then: string) {
  const script = `
    const {takeLock} = await import('${SOURCES}places/file-lock.ts');
    const attempt = await takeLock(process.argv[1], {waitMs: 0});
    process.stdout.write(attempt.kind);
    ${then}`;
  return runProgram(process.execPath, ['--input-type=module', '-e', script, path]);
}

test('the content of a linked directory is not mistaken for an owner', async () => {
  await using temp = await tempDirectory();
  await plant(temp.join('elsewhere'), 'of somebody');
  await symlink(temp.join('elsewhere'), temp.join('lock'));
  await expect(taken(temp.join('lock'), {...LATER, clock: new Clock()})).rejects.toThrow('link');
  expect(await readdir(temp.join('elsewhere'))).toEqual(['other']);
});

test.each(['a link to a device', 'a pipe'])('an owner that is %s is not alive', async (kind) => {
  await using temp = await tempDirectory();
  const path = temp.join('lock');
  const owner = join(path, 'owner');
  await mkdir(path);
  if (kind === 'a link to a device') await symlink('/dev/zero', owner);
  else await runProgram('mkfifo', [owner]);
  await using _ = await taken(path, {...LATER, clock: new Clock()});
  expect(await readdir(path)).not.toContain('owner');
});

test('one has the lock at a time; released, nothing is left of it', async () => {
  await using temp = await tempDirectory();
  const path = temp.join('lock');
  {
    await using lock = await taken(path, AT_ONCE);
    expect(await takeLock(path, AT_ONCE)).toMatchObject({
      kind: 'busy',
      owner: expect.stringContaining(`process ${process.pid}`),
    });
    expect(await lock.isHeld()).toBe(true);
  }
  await using again = await taken(path, AT_ONCE);
  expect(again.isLost).toBe(false);
  await again[Symbol.asyncDispose]();
  expect(await readdir(temp.path)).toEqual([]);
});

test('a process that runs keeps its lock from another process', async () => {
  await using temp = await tempDirectory();
  await using _ = await taken(temp.join('lock'), AT_ONCE);
  expect(await holder(temp.join('lock'), '')).toMatchObject({code: 0, stdout: 'busy'});
});

test('the lock of a killed process is free immediately', async () => {
  await using temp = await tempDirectory();
  const path = temp.join('lock');
  const killed = await holder(path, `process.kill(process.pid, 'SIGKILL');`);
  expect(killed).toMatchObject({code: 137, stdout: 'taken'});
  expect(await readdir(path)).toHaveLength(1);
  await using lock = await taken(path, AT_ONCE);
  expect(await lock.isHeld()).toBe(true);
});

test('an owner killed while it released the lock leaves it free', async () => {
  await using temp = await tempDirectory();
  await mkdir(temp.join('lock'));
  await using lock = await taken(temp.join('lock'), AT_ONCE);
  expect(await lock.isHeld()).toBe(true);
});

describe('in another container the process with the same id', () => {
  test('keeps the lock while it shows that it lives', async () => {
    await using temp = await tempDirectory();
    const file = await plant(temp.join('lock'), {...(await ownRecord()), namespace: 'pid:[1]'});
    const clock = new Clock();
    const doubts: string[] = [];
    clock.onSleep = async (now) => {
      if (now > 500) await utimes(file, now, now);
    };
    const onDoubt = (owner: string) => void doubts.push(owner);
    const attempt = await takeLock(temp.join('lock'), {...AT_ONCE, clock, onDoubt});
    expect(attempt).toMatchObject({kind: 'busy'});
    expect(clock.now()).toBeLessThan(STALE_MS);
    expect(doubts).toEqual([expect.stringContaining(`process ${process.pid}`)]);
  });

  test('loses it when it has not shown itself for some seconds of our own clock', async () => {
    await using temp = await tempDirectory();
    const file = await plant(temp.join('lock'), {...(await ownRecord()), namespace: 'pid:[1]'});
    // Its clock is ahead of ours, or behind: it is not looked at.
    await utimes(file, 4e9, 4e9);
    const clock = new Clock();
    await using lock = await taken(temp.join('lock'), {...AT_ONCE, clock});
    expect(clock.now()).toBeGreaterThanOrEqual(STALE_MS);
    expect(await lock.isHeld()).toBe(true);
  });

  test('is another one than ours, whose namespace got the number of a dead one', async () => {
    await using temp = await tempDirectory();
    await plant(temp.join('lock'), {...(await ownRecord()), start: '1'});
    await using lock = await taken(temp.join('lock'), AT_ONCE);
    expect(await lock.isHeld()).toBe(true);
  });
});

test.each(['', '123', '{"host": 1}', '{"host":"x","pid":1'])(
  'a lock whose owner did not write itself down is taken after some seconds: %j',
  async (content) => {
    await using temp = await tempDirectory();
    await plant(temp.join('lock'), content);
    const clock = new Clock();
    await using lock = await taken(temp.join('lock'), {...AT_ONCE, clock});
    expect(clock.now()).toBeGreaterThanOrEqual(STALE_MS);
    expect(await lock.isHeld()).toBe(true);
  },
);

test('an owner that was halted learns that it lost the lock, and does not release that of the next', async () => {
  await using temp = await tempDirectory();
  const path = temp.join('lock');
  // A process that is halted does not renew its lock.
  vi.useFakeTimers({toFake: ['setInterval']});
  const halted = await taken(path, AT_ONCE);
  vi.useRealTimers();
  const [name = ''] = await readdir(path);
  // As seen from another machine.
  await writeFile(join(path, name), '{"host":"elsewhere"}');
  await using next = await taken(path, {...AT_ONCE, clock: new Clock()});
  expect([await halted.isHeld(), halted.isLost, await next.isHeld()]).toEqual([false, true, true]);
  await halted[Symbol.asyncDispose]();
  expect(await next.isHeld()).toBe(true);
});

test('of many that find a dead owner, one has the lock at a time', async () => {
  await using temp = await tempDirectory();
  const path = temp.join('lock');
  await plant(path, {...(await ownRecord()), start: '1'});
  let holders = 0;
  let turns = 0;
  await Promise.all(
    Array.from({length: 20}, async () => {
      await using lock = await taken(path, LATER);
      holders += 1;
      expect([holders, await lock.isHeld()]).toEqual([1, true]);
      holders -= 1;
      turns += 1;
    }),
  );
  expect(turns).toBe(20);
  expect(await readdir(temp.path)).toEqual([]);
});

test('processes that find a dead owner have the lock one after the other', async () => {
  await using temp = await tempDirectory();
  const path = temp.join('lock');
  await plant(path, {...(await ownRecord()), start: '1'});
  const counter = temp.join('counter');
  await writeFile(counter, '0');
  const script = `
    const {takeLock} = await import('${SOURCES}places/file-lock.ts');
    const {readFile, writeFile} = await import('node:fs/promises');
    const [path, counter] = process.argv.slice(1);
    for (let turn = 0; turn < 20; turn += 1) {
      const {lock} = await takeLock(path, {waitMs: Number.POSITIVE_INFINITY});
      const before = Number(await readFile(counter, 'utf8'));
      await writeFile(counter, String(before + 1));
      await lock[Symbol.asyncDispose]();
    }`;
  const args = ['--input-type=module', '-e', script, path, counter];
  const ended = await Promise.all([0, 1, 2].map(() => runProgram(process.execPath, args)));
  expect(ended.map(({code, stderr}) => `${code}${stderr}`)).toEqual(['0', '0', '0']);
  expect(await readFile(counter, 'utf8')).toBe('60');
});

test('the wait for an unknown owner ends with its signal', async () => {
  await using temp = await tempDirectory();
  await plant(temp.join('lock'), '{"host":"elsewhere"}');
  const stop = new AbortController();
  const onDoubt = () => stop.abort();
  await expect(
    takeLock(temp.join('lock'), {...AT_ONCE, signal: stop.signal, onDoubt}),
  ).rejects.toMatchObject({name: 'AbortError'});
});

test('a file in the place of the lock is an error, not a lock', async () => {
  await using temp = await tempDirectory();
  await writeFile(temp.join('lock'), '1');
  await expect(takeLock(temp.join('lock'), AT_ONCE)).rejects.toMatchObject({code: 'ENOTDIR'});
});

test('the record identifies this process', async () => {
  expect(await ownRecord()).toMatchObject({
    pid: process.pid,
    namespace: await readlink('/proc/self/ns/pid'),
  });
});
