import {readFile} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';
import {
  applyPlan,
  type CopyPlan,
  type CredentialRequest,
  openSession,
  planCopy,
  planMigration,
  readPlan,
  readStatus,
  type RunEvent,
  type SessionOptions,
  TransshipError,
  verifyPlan,
  writePlan,
} from '../../src/library/index.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {jsonReply} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';

const cleanup = new AsyncDisposableStack();
let temp: TempDirectory;
let source: Sandbox;
let destination: Sandbox;
/** Has a login, which it quotes in its refusals. */
let locked: Sandbox;
let count = 0;
let from: string;
let to: string;
let path: RepositoryPath;

/** All of it. */
const GRANTS = [{repository: '**', actions: ['*']}] as const;
const USER = {username: 'ada', password: 'a-long-password-of-ada'};

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  source = cleanup.use(await startSandbox());
  destination = cleanup.use(await startSandbox());
  locked = cleanup.use(
    await startSandbox({
      auth: {
        kind: 'basic',
        users: [{name: USER.username, password: USER.password, grants: GRANTS}],
      },
    }),
  );
});
afterAll(() => cleanup.disposeAsync());
beforeEach(async () => {
  path = `team/r${++count}` as RepositoryPath;
  [from, to] = [`${source.host}/${path}`, `${destination.host}/${path}`];
  for (const tag of ['v1', 'v2'])
    await storeImage(source.storage, path, tag, [Buffer.from(`${tag} of ${path}`)]);
});

async function planned(options: SessionOptions = {}): Promise<CopyPlan> {
  await using session = openSession(options);
  return await planCopy(session, {source: from, destination: to});
}

function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: unknown) => (error instanceof TransshipError ? error.code : String(error)),
  );
}

test('a plan is applied in the session that made it, or from its file in another', async () => {
  const events: RunEvent[] = [];
  await using session = openSession({onEvent: (event) => events.push(event)});
  const plan = await planCopy(session, {source: from, destination: to, filters: {tags: ['v1']}});
  const run = await applyPlan(session, plan, {isFresh: true});
  expect(run).toMatchObject({result: 'done', plan: plan.id, blobs: {copied: 2}});
  expect(events.map(({type}) => type)).toEqual(
    expect.arrayContaining(['observing', 'run-started', 'blob-ended', 'step-ended', 'run-ended']),
  );

  const file = temp.join(`${count}.plan.json`);
  await writePlan(file, await planned());
  await using other = openSession();
  const read = await readPlan(file);
  expect(await applyPlan(other, read)).toMatchObject({result: 'done', blobs: {copied: 2}});
  expect(await verifyPlan(other, read)).toMatchObject({checked: {tags: 2}, differences: []});
  expect(await destination.storage.manifests.tags(path)).toEqual(['v1', 'v2']);
});

test('content missing at the destination is found, and copied again', async () => {
  const plan = await planned();
  await using session = openSession();
  await applyPlan(session, plan);
  await destination.storage.manifests.untag(path, 'v2' as Tag);
  expect((await verifyPlan(session, plan)).differences).toMatchObject([{what: 'tag', tag: 'v2'}]);
  expect(await verifyPlan(session, plan, {repair: true})).toMatchObject({
    repaired: {images: 1, failures: []},
    differences: [],
  });
});

test('a signal ends everything immediately', async () => {
  const reason = new Error('the user left');
  const stop = new AbortController();
  await using session = openSession({
    signal: stop.signal,
    onEvent: ({type}) => type === 'blob-started' && stop.abort(reason),
  });
  const plan = await planCopy(session, {source: from, destination: to});
  expect(await applyPlan(session, plan)).toMatchObject({result: 'interrupted'});
  expect(await destination.storage.manifests.tags(path)).toEqual([]);
  await expect(planCopy(session, {source: from, destination: to})).rejects.toBe(reason);
  await expect(verifyPlan(session, plan)).rejects.toBe(reason);
});

test('a run that is stopped in order reports it, and the next one resumes', async () => {
  const stop = new AbortController();
  const journal = temp.join(`${count}/run.journal.ndjson`);
  const plan = await planned();
  {
    await using session = openSession({
      stopping: stop.signal,
      onEvent: ({type}) => type === 'blob-started' && stop.abort(),
    });
    const run = await applyPlan(session, plan, {journal, jobs: 1});
    expect(run.result).toBe('interrupted');
  }
  const {steps, ended} = await readStatus(plan, [journal]);
  expect(ended).toBe('interrupted');
  expect(steps).toMatchObject({done: 0, total: 2});
  await using session = openSession();
  const run = await applyPlan(session, plan, {journal, removeJournal: true});
  expect(run).toMatchObject({result: 'done', steps: [{outcome: 'done'}, {outcome: 'done'}]});
  await expect(readFile(journal)).rejects.toThrow('ENOENT');
});

test('a limit ends the run', async () => {
  const plan = await planned();
  await using session = openSession({limits: {maxBytes: 1}});
  expect(await applyPlan(session, plan, {jobs: 1})).toMatchObject({
    result: 'interrupted',
    limit: 'MAX_BYTES_REACHED',
  });
});

test('errors have a code, a side and a hint', async () => {
  await using session = openSession();
  const missing = planCopy(session, {source: `${source.host}/no/such`, destination: to});
  await expect(missing).rejects.toMatchObject({
    name: 'TransshipError',
    code: 'REPOSITORY_NOT_FOUND',
    side: 'source',
    retry: false,
    hint: expect.stringMatching(/\w/),
  });
  expect(await codeOf(planCopy(session, {source: 'NOT A NAME', destination: to}))).toBe(
    'REFERENCE_INVALID',
  );
});

test('logins come from the caller; from the environment only if it is passed', async () => {
  const lockedTo = `${locked.host}/${path}`;
  const asked: CredentialRequest[] = [];
  await using anonymous = openSession();
  const request = {source: from, destination: lockedTo};
  expect(await codeOf(planCopy(anonymous, request))).toBe('UNAUTHORIZED');

  await using session = openSession({
    credentials: (one) => {
      asked.push(one);
      return one.host === locked.host ? {kind: 'basic', ...USER} : undefined;
    },
  });
  const plan = await planCopy(session, request);
  expect(await applyPlan(session, plan)).toMatchObject({result: 'done'});
  expect(asked).toContainEqual({host: locked.host, side: 'destination', repository: path});

  const environment = {
    TRANSSHIP_DESTINATION_HOST: locked.host,
    TRANSSHIP_DESTINATION_USERNAME: USER.username,
    TRANSSHIP_DESTINATION_PASSWORD: USER.password,
  };
  await using passed = openSession({environment});
  expect(await verifyPlan(passed, plan)).toMatchObject({differences: []});
});

test('no secret that a registry repeats is in an error', async () => {
  await using server = await startSandbox({
    auth: {kind: 'basic', users: []},
    intercept: async ({headers}, next) => {
      if (headers.authorization === undefined) return await next();
      const message = `not with ${headers.authorization}`;
      return jsonReply(400, {errors: [{code: 'NAME_INVALID', message}]});
    },
  });
  await using session = openSession({credentials: () => ({kind: 'basic', ...USER})});
  const failed = planCopy(session, {source: `${server.host}/a`, destination: to});
  const error = await failed.catch((thrown: unknown) => thrown);
  const text = JSON.stringify([error, String((error as Error).stack), (error as Error).message]);
  expect(text).toContain('NAME_INVALID');
  expect(text).not.toContain(USER.password);
  expect(text).not.toContain(Buffer.from(`${USER.username}:${USER.password}`).toString('base64'));
});

test('nothing is deleted unless the caller agrees', async () => {
  await using session = openSession();
  const plan = await planCopy(session, {source: from, destination: to, deleteSource: true});
  await expect(applyPlan(session, plan)).rejects.toMatchObject({code: 'USAGE'});
  const refused = await applyPlan(session, plan, {confirmDeletions: () => false});
  expect(refused.result).toBe('interrupted');
  expect(await source.storage.manifests.tags(path)).toEqual(['v1', 'v2']);

  const named: (string | undefined)[] = [];
  const run = await applyPlan(session, plan, {
    confirmDeletions: (steps) => named.push(...steps.map(({tag}) => tag)) > 0,
  });
  expect(run.result).toBe('done');
  expect(named).toEqual(['v1', 'v2']);
  expect(await source.storage.manifests.tags(path)).toEqual([]);
  expect(await destination.storage.manifests.tags(path)).toEqual(['v1', 'v2']);
});

test('a migration file is planned from its text', async () => {
  const text = `version: 1
from: ${source.host}
to: ${destination.host}/moved
routes:
  - from: ${path}
`;
  await using session = openSession();
  const plan = await planMigration(session, {file: 'acme.yaml', text});
  expect(plan.routes).toMatchObject([{from, to: `${destination.host}/moved/${path}`}]);
  const wrong = planMigration(session, {file: 'acme.yaml', text: 'version: 1\nroutes: 3\n'});
  await expect(wrong).rejects.toMatchObject({
    code: 'MIGRATION_INVALID',
    problems: expect.arrayContaining([expect.objectContaining({file: 'acme.yaml', line: 2})]),
  });
});

test('projects are created with the token of their GitLab, which no other receives', async () => {
  const seed = {
    users: [{name: 'ada', password: 'ada-password'}],
    groups: [{path: 'acme', members: {ada: 'owner' as const}}],
    tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
  };
  await using gitlab = await startGitLabSandbox({seed: parseSeed(seed)});
  const text = `version: 1
from: ${source.host}
to: ${gitlab.host}/acme
routes:
  - {from: ${path}, to: images/app, project: images}
gitlab: {projects: create}
`;
  const credentials = ({host}: CredentialRequest) =>
    host === gitlab.host
      ? ({kind: 'basic', username: 'ada', password: 'ada-password'} as const)
      : undefined;
  await using other = openSession({
    credentials,
    gitlab: [{url: 'https://gitlab.example.com', token: 'elsewhere'}],
  });
  const request = {file: 'acme.yaml', text};
  expect(await codeOf(planMigration(other, request))).toBe('USAGE');

  await using session = openSession({credentials, gitlab: [{url: gitlab.url, token: 'ada-api'}]});
  const plan = await planMigration(session, request);
  expect(plan.steps.map(({kind}) => kind)).toEqual(['create-project', 'copy', 'copy']);
  expect(await applyPlan(session, plan)).toMatchObject({result: 'done'});
  const there = `${gitlab.host}/acme/images/app`;
  const again = await planCopy(session, {source: from, destination: there});
  expect(again).toMatchObject({steps: [], totals: {present: 2}});
});

test('a closed session does nothing more', async () => {
  const session = openSession();
  await session.close();
  await session.close();
  expect(await codeOf(planCopy(session, {source: from, destination: to}))).toBe('USAGE');
});
