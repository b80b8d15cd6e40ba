import {symlink, writeFile} from 'node:fs/promises';
import {afterAll, afterEach, beforeAll, describe, expect, test, vi} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {writeTar} from '../support/saved-archive.ts';
import {storeImage} from '../support/small-images.ts';
import {sharedHome} from '../support/home.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

// Directories that cannot be made, whoever runs the command: below a file, below a link to nothing, and in a file
// system that makes none, where Node's own way to make a directory with those above it never returns.

const cleanup = new AsyncDisposableStack();
let temp: TempDirectory;
let source: Sandbox;
let destination: Sandbox;
let image: string;
let count = 0;

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  source = cleanup.use(await startSandbox());
  destination = cleanup.use(await startSandbox());
  await storeImage(source.storage, 'app' as RepositoryPath, 'v1', [Buffer.from('a layer')]);
  image = `${source.host}/app:v1`;
  await writeFile(temp.join('file'), '');
  await symlink(temp.join('nowhere'), temp.join('link'));
  // Made where temporary files can be made, whichever test is the first.
  await sharedHome();
});
afterAll(() => cleanup.disposeAsync());
afterEach(() => vi.unstubAllEnvs());

function target(): string {
  return `${destination.host}/app${++count}`;
}

const WHERE = ['below a file', 'below a link to nothing', 'below /proc'] as const;

function impossible(where: (typeof WHERE)[number]): string {
  return {
    'below a file': temp.join('file', 'x', 'y'),
    'below a link to nothing': temp.join('link', 'x', 'y'),
    'below /proc': '/proc/transship/x/y',
  }[where];
}

test.each([{}, {gitlab: true}])(
  'a sandbox whose content cannot be written does not begin: %j',
  async ({gitlab}) => {
    await using store = await tempDirectory();
    await writeFile(store.join('repositories'), '');
    const args = ['--port', '0', '--dir', store.path, '--example', ...(gitlab ? ['--gitlab'] : [])];
    const run = await transship(['sandbox', ...args]);
    expect(toldError({...run, stdout: ''})).toMatchObject({code: 'FILE_WRITE_FAILED', exit: 1});
  },
);

describe.each(WHERE)('a directory %s', (where) => {
  test('for the cache only costs what it saves', async () => {
    const env = {XDG_CACHE_HOME: impossible(where)};
    const run = await transship(['copy', image, target()], {env, home: temp.join('home')});
    expect(run).toMatchObject({code: 0});
  });

  test('for the state does not keep a plan from being made', async () => {
    const env = {XDG_STATE_HOME: impossible(where)};
    const plan = ['plan', 'copy', image, target(), '--out', temp.join(`${count}.plan.json`)];
    expect(await transship(plan, {env})).toMatchObject({code: 0});
  });

  test.each(['XDG_STATE_HOME', '--journal'])(
    'for the journal, by %s, ends the run',
    async (how) => {
      const directory = impossible(where);
      const [env, flags] =
        how === '--journal' ? [{}, [how, `${directory}/run.ndjson`]] : [{[how]: directory}, []];
      const run = await transship(['copy', image, target(), ...flags], {env});
      const error = toldError(run);
      expect(error).toMatchObject({code: 'JOURNAL_WRITE_FAILED', exit: 1, side: 'this machine'});
      expect(error.message).toContain(directory);
      expect(error.hint).toContain('--journal');
    },
  );

  test.each(['--out', '--delta-report', '--junit', '--dotenv'])(
    'for %s is reported',
    async (flag) => {
      const file = `${impossible(where)}/file`;
      const earlier = temp.join('earlier.plan.json');
      await transship(['plan', 'copy', image, target(), '--out', earlier]);
      const command =
        {
          '--out': ['plan', 'copy'],
          '--delta-report': ['plan', 'copy', '--since', earlier],
          '--junit': ['copy'],
          '--dotenv': ['copy'],
        }[flag] ?? [];
      const run = await transship([...command, image, target(), flag, file]);
      const error = toldError({...run, stdout: ''});
      expect(error).toMatchObject({code: 'FILE_WRITE_FAILED', exit: 1, side: 'this machine'});
      expect(error.message).toContain(file);
    },
  );

  test.each(['oci', 'oci-archive', 'dir'])(
    'for %s: is reported for each image',
    async (transport) => {
      const place = `${transport}:${impossible(where)}/images`;
      const run = await transship(['copy', image, place, '--format', 'json']);
      const told = run.stdout === '' ? run.stderr : run.stdout;
      expect(told).toMatch(/FILE_WRITE_FAILED|DESTINATION_CONFLICT/);
      expect([1, 3]).toContain(run.code);
    },
  );

  test('for the content of the sandbox ends it', async () => {
    const run = await transship(['sandbox', '--port', '0', '--dir', impossible(where)]);
    expect(toldError(run)).toMatchObject({code: 'FILE_WRITE_FAILED', exit: 1});
  });

  test('for temporary files ends the reading of an archive', async () => {
    const archive = temp.join('saved.tar');
    await writeTar(archive, [['manifest.json', '[]']]);
    vi.stubEnv('TMPDIR', impossible(where));
    const error = toldError(await transship(['copy', `docker-archive:${archive}`, target()]));
    expect(error).toMatchObject({code: 'FILE_WRITE_FAILED', exit: 1, side: 'this machine'});
    expect(error.hint).toContain('TMPDIR');
  });

  test('for a donor forbids the transfer, or ends it before anything is deleted', async () => {
    await using rig = await startRig({
      seed: {
        users: [{name: 'ada'}],
        groups: [
          {path: 'org', members: {ada: 'owner' as const}},
          {path: 'new', members: {ada: 'owner' as const}},
        ],
        projects: [
          {
            path: 'org/app',
            images: [{layout: layoutDirectory('busybox'), ref: '1.35-amd64', tag: 'v1'}],
          },
        ],
        tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
      },
      mode: 'legacy',
    });
    const env = {GITLAB_TOKEN: 'ada-api'};
    const plan = temp.join(`move${++count}.plan.json`);
    const wish = ['plan', 'transfer', 'org/app', '--to', 'new/', '--gitlab', rig.url];
    const planned = await transship([...wish, '--donor', impossible(where), '--out', plan], {env});
    const run = planned.code === 0 ? await transship(['apply', plan, '--yes'], {env}) : planned;
    expect([1, 3]).toContain(run.code);
    expect(run.stdout + run.stderr).toMatch(/FILE_WRITE_FAILED|DONOR_/);
    expect(rig.sandbox.events.events.filter(({kind}) => kind === 'tag-deleted')).toEqual([]);
  });
});
