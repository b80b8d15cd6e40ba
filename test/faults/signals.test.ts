import {MAIN} from '../support/cli.ts';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {describe, expect, it} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {FaultScript} from '../../src/sandbox/faults/fault-script.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {refuse} from '../support/fault-rules.ts';
import {cleanEnvironment} from '../support/program.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

/** More than 256 KiB, so that it waits in a lane of its own (`LARGE_BODY` in src/http/request.ts). */
const CHUNK = 512 * 1024;
const FROM = 'from/app' as RepositoryPath;

/** A copy whose second chunk has half arrived and goes on when the gate `chunk` is opened. */
async function startStalledCopy(temp: TempDirectory) {
  const cleanup = new AsyncDisposableStack();
  const faults = new FaultScript([
    {
      method: 'PATCH',
      skip: 1,
      fault: {kind: 'stall', body: 'request', after: CHUNK / 2, gate: 'chunk'},
    },
  ]);
  const source = cleanup.use(await startSandbox());
  const destination = cleanup.use(await startSandbox({intercept: faults.intercept}));
  const layer = someBytes(4 * CHUNK);
  const digest = await storeImage(source.storage, FROM, 'v1', [layer]);
  const journal = temp.join('journal');
  const args = ['copy', `${source.host}/${FROM}:v1`, `${destination.host}/to/app:v1`];
  args.push('--chunk-size', String(CHUNK), '--journal', journal, '--progress', 'plain');
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: {...cleanEnvironment(), HOME: temp.path},
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const closed = once(child, 'close') as Promise<[number | null]>;
  await faults.gates.reached('chunk');
  const bytesOfChunks = () =>
    destination.log.entries
      .filter(({method}) => method === 'PATCH')
      .reduce((sum, {bytesIn}) => sum + bytesIn, 0);
  return {
    faults,
    bytesOfChunks,
    layer,
    exit: async () => {
      child.stderr.resume();
      return (await closed)[0];
    },
    /** Sends the signal, and resolves when the program has said that it has it. */
    interrupt: async () => {
      child.kill('SIGINT');
      for await (const text of child.stderr.setEncoding('utf8').iterator({destroyOnReturn: false}))
        if (String(text).includes('finishing')) return;
    },
    kill: () => child.kill('SIGINT'),
    uploads: async () =>
      (await readFile(journal, 'utf8'))
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as {readonly type: string; readonly offset?: number})
        .filter(({type}) => type === 'upload'),
    again: () => transship(args, {home: temp.path}),
    copied: async () =>
      (await destination.storage.manifests.resolve('to/app' as RepositoryPath, 'v1' as never)) ===
      digest,
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}

describe('Ctrl-C', () => {
  it('once finishes the chunk under way, remembers it, and exits with 130', async () => {
    await using temp = await tempDirectory();
    await using copy = await startStalledCopy(temp);
    await copy.interrupt();
    copy.faults.gates.open('chunk');
    expect(await copy.exit()).toBe(130);
    expect((await copy.uploads()).at(-1)).toMatchObject({offset: 2 * CHUNK});
    expect(copy.bytesOfChunks()).toBe(2 * CHUNK);
    expect(await copy.again()).toMatchObject({code: 0});
    expect(copy.bytesOfChunks()).toBe(copy.layer.length);
    expect(await copy.copied()).toBe(true);
  });

  it('twice, stops immediately, and nothing is lost', async () => {
    await using temp = await tempDirectory();
    await using copy = await startStalledCopy(temp);
    await copy.interrupt();
    copy.kill();
    expect(await copy.exit()).toBe(130);
    expect((await copy.uploads()).at(-1)).toMatchObject({offset: CHUNK});
    copy.faults.gates.open('chunk');
    expect(await copy.again()).toMatchObject({code: 0});
    expect(await copy.copied()).toBe(true);
  });

  it('once, ends the wait for a host after Retry-After, also for later requests', async () => {
    await using temp = await tempDirectory();
    const faults = new FaultScript([refuse('PUT', 429, {}, 0, {'retry-after': '600'})]);
    await using source = await startSandbox();
    await using destination = await startSandbox({intercept: faults.intercept});
    for (const tag of ['v1', 'v2', 'v3'])
      await storeImage(source.storage, FROM, tag, [someBytes(1024)]);
    const args = ['copy', `${source.host}/${FROM}`, `${destination.host}/to/app`];
    args.push('--journal', temp.join('journal'), '--progress', 'plain');
    const ctrlC = new AbortController();
    const onStderr = (text: string) => {
      if (text.includes('429')) ctrlC.abort();
    };
    expect(await transship(args, {stopping: ctrlC.signal, onStderr})).toMatchObject({
      code: 130,
      stdout: expect.stringContaining('Interrupted:'),
    });
    expect(await transship(args)).toMatchObject({code: 0});
  });
});
