import {
  appendFile,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import {openJournal} from '../../src/apply/journal.ts';
import {Redactor} from '../../src/http/redaction.ts';
import {digestOf} from '../../src/model/digest.ts';
import type {RunResult, StatusResult} from '../../src/model/outcome.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type Intercept, refusal} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {toldError} from '../support/error-lines.ts';
import {pushImage} from '../support/push-image.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship, type TransshipOptions} from '../support/transship.ts';

const CHUNK = 256 * 1024;
const LAYER = Buffer.alloc(6 * CHUNK, 'layer');
const cleanup = new AsyncDisposableStack();
/** Stands before the destination while a test wants it to. */
let intercept: Intercept | undefined;
let source: Sandbox;
let destination: Sandbox;
let temp: TempDirectory;
let count = 0;
let repository: RepositoryPath;
let planFile: string;
let journalFile: string;

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  source = cleanup.use(await startSandbox());
  destination = cleanup.use(
    await startSandbox({
      intercept: (exchange, next) => (intercept ? intercept(exchange, next) : next()),
    }),
  );
});
afterAll(() => cleanup.disposeAsync());
beforeEach(async () => {
  intercept = undefined;
  repository = `test/r${++count}` as RepositoryPath;
  planFile = temp.join(`${count}.plan.json`);
  journalFile = temp.join(`${count}.journal.ndjson`);
  await pushImage(source.url, repository, 'a');
  await pushImage(source.url, repository, 'b', {layers: [LAYER]});
  await transship(['plan', 'copy', ...places(), '--out', planFile]);
  destination.log.clear();
});

function places(): readonly [string, string] {
  return [`${source.host}/${repository}`, `${destination.host}/${repository}`];
}

async function apply(flags: readonly string[] = [], options: TransshipOptions = {}) {
  const run = await transship(['apply', planFile, '--format', 'json', ...flags], options);
  return {...run, result: run.stdout === '' ? undefined : (JSON.parse(run.stdout) as RunResult)};
}

async function tagsThere(): Promise<readonly string[]> {
  return [...(await destination.storage.manifests.tags(repository))].sort();
}

/** Bytes of blobs that arrived. */
function arrived(): number {
  return destination.log.entries
    .filter(({kind}) => kind === 'upload')
    .reduce((sum, {bytesIn}) => sum + bytesIn, 0);
}

async function entries(): Promise<readonly {readonly type: string}[]> {
  const text = await readFile(journalFile, 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as {type: string});
}

/** Applies until the first chunk has arrived. */
async function stopAfterChunk(): Promise<void> {
  const stopping = new AbortController();
  intercept = async ({method}, next) => {
    const reply = await next();
    if (method === 'PATCH') stopping.abort();
    return reply;
  };
  const chunks = ['--chunk-size', String(CHUNK)];
  expect((await apply(chunks, {stopping: stopping.signal})).code).toBe(130);
  intercept = undefined;
  destination.log.clear();
}

/** Puts another URL in place of those of all uploads in the journal. */
async function forge(location: string): Promise<void> {
  const forged = (await entries()).map((entry) =>
    entry.type === 'upload' ? {...entry, location} : entry,
  );
  await writeFile(journalFile, forged.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
}

test('lies beside the plan: who ran, what was done, how it ended', async () => {
  expect((await apply()).code).toBe(0);
  const written = await entries();
  expect(written[0]).toMatchObject({type: 'run'});
  expect(written.at(-1)).toMatchObject({type: 'end', result: 'done'});
  expect(written.filter(({type}) => type === 'step')).toHaveLength(2);
  expect(await readdir(temp.path)).not.toContain(`${count}.journal.ndjson.lock`);
});

test('has times, bytes and retries, which a page shows', async () => {
  let refusals = 0;
  intercept = async ({method, path}, next) => {
    if (method === 'PUT' && path.endsWith('/manifests/b'))
      throw refusal(403, 'DENIED', 'not today');
    const isUpload = method === 'PATCH' || method === 'PUT';
    if (isUpload && path.includes('/uploads/') && refusals++ < 2)
      throw refusal(503, 'UNKNOWN', 'busy');
    return next();
  };
  expect((await apply()).code).toBe(1);
  const all = (await entries()) as readonly Record<string, unknown>[];
  const blob = all.find(({bytes}) => bytes === LAYER.byteLength);
  expect(blob).toMatchObject({type: 'blob', outcome: 'copied', ms: expect.any(Number)});
  expect(Date.parse(String(blob?.['at']))).not.toBeNaN();
  expect(all.filter(({type}) => type === 'retry')).toHaveLength(2);
  const page = ['show', planFile, '--format', 'html', '--journal', journalFile];
  const {code, stdout} = await transship(page);
  expect(code).toBe(0);
  expect(stdout).toContain('Status: 1 of 2 images done, 1 failed, 0 left');
  expect(stdout).toContain('1 failed attempt, 2 retries.');
  expect(stdout).toContain(`aria-label="Bytes sent over time`);
  const asText = await transship(['show', planFile, '--journal', journalFile]);
  expect(toldError(asText)).toMatchObject({code: 'USAGE', exit: 64});
  const other = temp.join('other.plan.json');
  await transship(['plan', 'copy', `${source.host}/${repository}:a`, places()[1], '--out', other]);
  const wrong = await transship(['show', other, '--format', 'html', '--journal', journalFile]);
  expect(toldError(wrong)).toMatchObject({code: 'JOURNAL_INVALID'});
});

describe('a run that failed', () => {
  test('resumes, and does not send stored bytes again', async () => {
    intercept = async ({method, path}, next) => {
      if (method === 'PUT' && path.endsWith('/manifests/b'))
        throw refusal(403, 'DENIED', 'not today');
      return next();
    };
    const first = await apply();
    expect(first.code).toBe(1);
    expect(first.result?.steps.map(({outcome}) => outcome).sort()).toEqual(['done', 'failed']);
    const status = await transship(['status', planFile, '--format', 'json']);
    expect(JSON.parse(status.stdout) as StatusResult).toMatchObject({
      steps: {done: 1, failed: 1, left: 0, total: 2},
      ended: 'failed',
    });
    intercept = undefined;
    destination.log.clear();

    const second = await apply();

    expect(second.code).toBe(0);
    expect(second.result?.steps.map(({outcome}) => outcome).sort()).toEqual(['done', 'present']);
    expect(arrived()).toBe(0);
    expect(await tagsThere()).toEqual(['a', 'b']);
  });

  test('with --on-failure stop begins no other image', async () => {
    // More images than are worked on at once; they share all but their tags.
    const failed = Promise.withResolvers<void>();
    const tags = Array.from({length: 150}, (_, at) => `t${at}`);
    for (const tag of tags) await pushImage(source.url, `${repository}/many`, tag);
    intercept = async ({method, route, path}, next) => {
      if (method !== 'PUT' || route.kind !== 'manifest') return next();
      if (path.endsWith('/t0')) throw refusal(403, 'DENIED', 'not today');
      await failed.promise;
      return next();
    };
    const [from, to] = places();
    const args = [
      'copy',
      `${from}/many`,
      `${to}/many`,
      '--on-failure',
      'stop',
      '--progress',
      'json',
    ];
    const run = await transship([...args, '--format', 'json'], {
      onStderr: (text) => {
        if (text.includes('"outcome":"failed"') && text.includes('step-ended')) failed.resolve();
      },
    });
    expect(run.code).toBe(1);
    const outcomes = Map.groupBy(
      (JSON.parse(run.stdout) as RunResult).steps,
      ({outcome}) => outcome,
    );
    expect(outcomes.get('failed')).toHaveLength(1);
    // Not begun, but all of their blobs are there with the others'.
    expect(outcomes.get('interrupted')?.length).toBeGreaterThan(0);
    const there = await destination.storage.manifests.tags(`${repository}/many` as RepositoryPath);
    expect(there).toHaveLength(outcomes.get('done')?.length ?? 0);
  });
});

describe('a run that was interrupted', () => {
  test('once, finishes the current chunk, and resumes there', async () => {
    const stopping = new AbortController();
    intercept = async ({method}, next) => {
      const reply = await next();
      if (method === 'PATCH') stopping.abort();
      return reply;
    };
    const first = await apply(['--chunk-size', String(CHUNK)], {stopping: stopping.signal});
    expect(first).toMatchObject({code: 130, result: {result: 'interrupted'}});
    expect(first.stderr).toBe(
      'note: finishing work in progress; press Ctrl-C again to stop at once\n',
    );
    const status = await transship(['status', planFile, '--format', 'json']);
    expect(JSON.parse(status.stdout) as StatusResult).toMatchObject({
      uploads: [{offset: CHUNK, size: LAYER.length}],
      steps: {partly: 1},
      ended: 'interrupted',
    });
    // What is half there is neither done nor untouched, and all of it adds up.
    const outcomes = first.result?.steps.map(({outcome}) => outcome) ?? [];
    expect(outcomes).toContain('interrupted');
    expect(first.result?.steps).toHaveLength(2);
    intercept = undefined;
    destination.log.clear();

    expect((await apply(['--chunk-size', String(CHUNK)])).code).toBe(0);

    expect(await tagsThere()).toEqual(['a', 'b']);
    expect(arrived()).toBeLessThan(LAYER.length - CHUNK + 1000);
  });

  test('twice, ends immediately, with no tag on an incomplete image', async () => {
    const [stopping, aborted] = [new AbortController(), new AbortController()];
    intercept = async ({method, signal}, next) => {
      if (method !== 'PATCH') return next();
      stopping.abort();
      aborted.abort(new DOMException('interrupted', 'AbortError'));
      await new Promise((resolve) => signal.addEventListener('abort', resolve, {once: true}));
      return next();
    };
    const flags = ['--chunk-size', String(CHUNK)];
    const first = await apply(flags, {stopping: stopping.signal, aborted: aborted.signal});
    expect(first.code).toBe(130);
    expect(await tagsThere()).not.toContain('b');
    intercept = undefined;

    expect((await apply(flags)).code).toBe(0);
    expect(await tagsThere()).toEqual(['a', 'b']);
  });

  test('while it checks for drift, ends immediately, without a change', async () => {
    const stopping = new AbortController();
    intercept = async ({signal}, next) => {
      stopping.abort();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, {once: true}));
      return next();
    };
    const first = await apply([], {stopping: stopping.signal});
    expect(first).toMatchObject({code: 130, result: {result: 'interrupted'}});
    const outcomes = first.result?.steps.map(({outcome}) => outcome);
    expect(outcomes).toEqual(['not-started', 'not-started']);
    intercept = undefined;
    expect((await apply()).code).toBe(0);
    expect(await tagsThere()).toEqual(['a', 'b']);
  });

  test.each(['plan', 'verify'])('while it only reads (%s), ends immediately', async (command) => {
    const stopping = new AbortController();
    intercept = async ({signal}, next) => {
      stopping.abort();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, {once: true}));
      return next();
    };
    const out = temp.join(`${count}.other.json`);
    const args = {plan: ['plan', 'copy', ...places(), '--out', out], verify: ['verify', planFile]};
    const run = await transship(args[command as 'plan'], {stopping: stopping.signal});
    expect(toldError(run)).toMatchObject({code: 'INTERRUPTED', exit: 130});
    expect(await readdir(temp.path)).not.toContain(`${count}.other.json`);
  });
});

test('a copy with nothing to do keeps none, unless one is named', async () => {
  await using home = await tempDirectory();
  const state = home.join('.local/state/transship');
  const first = await transship(['copy', ...places()], {home: home.path});
  expect(first.code).toBe(0);
  // It kept one until it was done.
  expect(await readdir(state)).toEqual([]);
  await rm(state, {recursive: true});
  const again = await transship(['copy', ...places()], {home: home.path});
  expect(again).toMatchObject({code: 0, stdout: expect.stringContaining('2 already there')});
  expect(await readdir(home.join('.local'), {recursive: true})).toEqual(['state']);
  await expect(readdir(state)).rejects.toMatchObject({code: 'ENOENT'});
  await transship(['copy', ...places(), '--journal', journalFile], {home: home.path});
  expect(await readFile(journalFile, 'utf8')).toContain('"result":"done"');
});

describe('a journal that is not as it should be', () => {
  test('of another plan is put aside, where nothing of it is left to be done', async () => {
    await pushImage(source.url, repository, 'a', {layers: [Buffer.from('moved')]});
    expect((await apply()).code).toBe(4);
    await transship(['plan', 'copy', ...places(), '--out', planFile]);
    expect((await apply()).code).toBe(0);
    expect(await readFile(`${journalFile}.old`, 'utf8')).toContain('"result":"drift"');
    expect((await entries()).filter(({type}) => type === 'run')).toHaveLength(1);
  });

  test('with a line that is none names the line', async () => {
    await apply();
    await appendFile(journalFile, 'not a line\n{"type":"end"}\n');
    const number = (await readFile(journalFile, 'utf8')).split('\n').length - 2;
    for (const command of ['apply', 'status']) {
      const error = toldError(await transship([command, planFile]));
      expect(error).toMatchObject({code: 'JOURNAL_INVALID', exit: 64});
      expect(error.message).toContain(`line ${number} of`);
    }
  });

  test('whose last line was cut off by a kill loses that line only', async () => {
    await apply();
    const whole = await readFile(journalFile, 'utf8');
    await truncate(journalFile, whole.length - 10);
    expect((await transship(['status', planFile])).code).toBe(0);
    const named = await transship(['status', planFile, '--journal', `${planFile}.nowhere`]);
    expect(toldError(named)).toMatchObject({code: 'FILE_UNREADABLE', exit: 64});
    expect((await apply()).code).toBe(0);
    expect((await entries()).at(-1)).toMatchObject({type: 'end', result: 'done'});
  });

  test('that a running process has is busy; a dead one’s is taken over', async () => {
    const options = {
      file: journalFile,
      plan: digestOf('any'),
      now: () => new Date(0),
      redactor: new Redactor(),
    };
    {
      await using _ = await openJournal(options);
      const error = toldError(await transship(['apply', planFile]));
      expect(error).toMatchObject({code: 'JOURNAL_BUSY', exit: 1, side: 'this machine'});
      expect(error.message).toContain(String(process.pid));
      expect(error.hint).not.toContain('--journal');
      expect(destination.log.entries).toEqual([]);
    }
    await rm(journalFile);
    // Its process id is ours, as it is in the next container; it began at another time.
    await mkdir(`${journalFile}.lock`);
    const {pid} = process;
    const [boot, namespace] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readlink('/proc/self/ns/pid'),
    ]);
    const owner = {host: 'here', pid, boot: boot.trim(), namespace, start: '1'};
    await writeFile(`${journalFile}.lock/other`, JSON.stringify(owner));
    expect((await apply()).code).toBe(0);
    expect(await readdir(temp.path)).not.toContain(`${count}.journal.ndjson.lock`);
  });

  test('in a directory that is none is refused', async () => {
    const error = toldError(
      await transship(['apply', planFile, '--journal', `${planFile}/journal.ndjson`]),
    );
    expect(error).toMatchObject({code: 'JOURNAL_WRITE_FAILED', exit: 1, side: 'this machine'});
    expect(error.hint).toContain('--journal');
    expect(destination.log.entries.filter(({method}) => method !== 'GET')).toEqual([]);
  });
});

describe('an upload of the journal', () => {
  test('at another host is not used, and is reported', async () => {
    await using elsewhere = await startSandbox();
    await stopAfterChunk();
    await forge(`${elsewhere.url}/v2/${repository}/blobs/uploads/1?_state=x`);
    const run = await apply();
    expect(run.code).toBe(0);
    expect(run.stderr).toContain('ignoring an upload in the journal');
    expect(elsewhere.log.entries).toEqual([]);
    expect(arrived()).toBeGreaterThanOrEqual(LAYER.length);
    expect(await tagsThere()).toEqual(['a', 'b']);
  });

  test.each([
    ['theirs', ''],
    ['theirs', '/v2/%/blobs/uploads/..%2f..%2f..%2ftheirs%2fblobs%2fuploads%2f'],
    ['%/below', ''],
  ])('of the repository %s gets nothing: its readers may not read the blob', async (name, by) => {
    const other = name.replace('%', repository);
    const opened = await fetch(`${destination.url}/v2/${other}/blobs/uploads/`, {method: 'POST'});
    const {href, pathname, search} = new URL(opened.headers.get('location') ?? '');
    const hidden =
      by.replace('%', repository) + pathname.slice(pathname.lastIndexOf('/') + 1) + search;
    await stopAfterChunk();
    await forge(by === '' ? href : destination.url + hidden);
    const run = await apply();
    expect(run.code).toBe(0);
    expect(run.stderr).toContain('ignoring an upload in the journal');
    const asked = destination.log.entries.map(({path}) => decodeURIComponent(path));
    expect(asked.filter((path) => path.includes(`${other}/blobs`))).toEqual([]);
    expect(await tagsThere()).toEqual(['a', 'b']);
  });

  test.each(['file:///etc/passwd', 'http://169.254.169.254/latest', 'upload'])(
    'at %s is not used, and the blob is sent from the start',
    async (location) => {
      await stopAfterChunk();
      await forge(location);
      const run = await apply();
      expect(run.code).toBe(0);
      expect(run.stderr).toContain('ignoring an upload in the journal');
      expect(run.stderr).not.toContain('retrying in');
      expect(await tagsThere()).toEqual(['a', 'b']);
    },
  );

  test.each([
    ['at a manifest', 'manifests/kept'],
    ['at the list of tags', 'tags/list'],
    ['with a URL of 100,000 characters', `blobs/uploads/${'x'.repeat(100_000)}`],
  ])('%s of the destination is none, and nothing is written there', async (_, path) => {
    await pushImage(destination.url, repository, 'kept');
    await stopAfterChunk();
    await forge(`${destination.url}/v2/${repository}/${path}`);
    expect(await apply()).toMatchObject({code: 0});
    const there = destination.log.entries.filter((entry) => entry.path.endsWith(path));
    expect(there.filter(({method}) => method !== 'GET')).toEqual([]);
    expect(await tagsThere()).toEqual(['a', 'b', 'kept']);
  });
});

test('of a copy that was killed is found by the same copy, and is not kept when all is done', async () => {
  const home = temp.join(`home${count}`);
  const stopping = new AbortController();
  intercept = async ({method}, next) => {
    const reply = await next();
    if (method === 'PATCH') stopping.abort();
    return reply;
  };
  const args = ['copy', ...places(), '--chunk-size', String(CHUNK)];
  expect((await transship(args, {home, stopping: stopping.signal})).code).toBe(130);
  intercept = undefined;
  destination.log.clear();

  expect((await transship(args, {home})).code).toBe(0);

  expect(arrived()).toBeLessThan(LAYER.length - CHUNK + 1000);
  expect(await readdir(`${home}/.local/state/transship`)).toEqual([]);
});
