import {Gitlab} from '@gitbeaker/rest';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type GitLabSandbox, startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const PROJECT = 'acme/move';

const cleanup = new AsyncDisposableStack();
let gitlab: GitLabSandbox;
let source: Sandbox;
let temp: TempDirectory;
let iid = 0;

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  source = cleanup.use(await startSandbox());
  await storeImage(source.storage, 'app' as RepositoryPath, 'v1', [Buffer.from('a layer')]);
  gitlab = cleanup.use(
    await startGitLabSandbox({
      seed: parseSeed({
        users: [{name: 'ada'}, {name: 'bot'}, {name: 'guest'}],
        groups: [{path: 'acme', members: {ada: 'owner'}}],
        projects: [{path: PROJECT, members: {bot: 'reporter', guest: 'guest'}, mergeRequests: 50}],
        tokens: [
          {value: 'ada-api', user: 'ada', scopes: ['api']},
          {value: 'bot-api', user: 'bot', scopes: ['api']},
          {value: 'bot-read', user: 'bot', scopes: ['read_api']},
          {value: 'guest-api', user: 'guest', scopes: ['api']},
          {value: 'job', user: 'ada', kind: 'job', project: PROJECT},
        ],
      }),
    }),
  );
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  iid += 1;
});

/** What a job of a merge request pipeline has. */
const job = (token: Readonly<Record<string, string>> = {GITLAB_TOKEN: 'bot-api'}) => ({
  CI: 'true',
  CI_API_V4_URL: `${gitlab.url}/api/v4`,
  CI_SERVER_URL: gitlab.url,
  CI_PROJECT_ID: PROJECT,
  CI_MERGE_REQUEST_IID: String(iid),
  CI_JOB_TOKEN: 'job',
  ...token,
});

async function plan(name: string, to = 'b'): Promise<string> {
  const file = temp.join(`${name}.plan.json`);
  const ends = [`${source.host}/app`, `${source.host}/${to}`];
  expect((await transship(['plan', 'copy', ...ends, '--out', file])).code).toBe(0);
  return file;
}

const comment = (file: string, env: Readonly<Record<string, string>> = job()) =>
  transship(['show', file, '--format', 'markdown', '--comment'], {env});

/** By another client of the API. */
async function notes(): Promise<readonly {readonly body: string; readonly id: number}[]> {
  const client = new Gitlab({host: gitlab.url, token: 'ada-api'});
  return await client.MergeRequestNotes.all(PROJECT, iid, {sort: 'asc'});
}

describe('show --comment', () => {
  test('writes the review as a note, and updates it from then on', async () => {
    const file = await plan('acme');
    const first = await comment(file);
    expect(first).toMatchObject({code: 0, stderr: ''});
    const [note, ...others] = await notes();
    expect(others).toEqual([]);
    expect(note?.body).toContain(first.stdout.trim());
    expect(note?.body).toMatch(/^\*\*Plan: 1 image to copy/);

    expect((await comment(await plan('acme', 'another'))).code).toBe(0);
    expect((await comment(file)).code).toBe(0);
    const [again, ...more] = await notes();
    expect(more).toEqual([]);
    expect(again).toMatchObject({id: note?.id, body: expect.stringContaining('/another:v1')});
  });

  test('has one note for each name of a plan, and does not change others', async () => {
    await comment(await plan('acme'));
    await comment(await plan('other'));
    expect(await notes()).toHaveLength(2);
    // Somebody quotes the note: only the author may change it.
    const [first] = await notes();
    const client = new Gitlab({host: gitlab.url, token: 'ada-api'});
    await client.MergeRequestNotes.create(PROJECT, iid, `> ${first?.body}`);
    await comment(await plan('acme', 'c'));
    const all = await notes();
    expect(all).toHaveLength(3);
    expect(all[0]?.body).toContain('/c');
    expect(all[2]?.body).toBe(`> ${first?.body}`);
  });

  test('leaves one note if several jobs write it concurrently', async () => {
    const file = await plan('acme');
    const runs = await Promise.all([1, 2, 3].map(() => comment(file)));
    expect(runs.map(({code}) => code)).toEqual([0, 0, 0]);
    expect(await notes()).toHaveLength(1);
  });

  test.each([
    ['the token of the job alone', {}, 'TOKEN_SCOPE_MISSING', 'project access token'],
    ['a token that only reads', {GITLAB_TOKEN: 'bot-read'}, 'TOKEN_SCOPE_MISSING', 'api'],
    ['a token of a guest', {GITLAB_TOKEN: 'guest-api'}, '', '404'],
    ['a token that is revoked', {GITLAB_TOKEN: 'gone'}, 'UNAUTHORIZED', ''],
  ])('with %s is reported, without a failure', async (_what, token, code, words) => {
    const file = await plan('acme');
    const run = await comment(file, job(token));
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(/^\*\*Plan: /);
    expect(run.stderr).toContain('no comment on the merge request');
    expect(run.stderr).toContain(code);
    expect(run.stderr).toContain(words);
    expect(await notes()).toEqual([]);
  });

  test('in another pipeline says that there is no merge request', async () => {
    const {CI_MERGE_REQUEST_IID: _iid, ...env} = job();
    const run = await comment(await plan('acme'), env);
    expect(run).toMatchObject({code: 0, stderr: expect.stringContaining('CI_MERGE_REQUEST_IID')});
  });

  test('sends no token to an instance that it is not for', async () => {
    const file = await plan('acme');
    const elsewhere = {...job(), TRANSSHIP_GITLAB_HOST: 'https://other.example.com'};
    const run = await comment(file, elsewhere);
    expect(run).toMatchObject({code: 0, stderr: expect.stringContaining('HOST_NOT_NAMED')});
    expect(await notes()).toEqual([]);
    const variable = `TRANSSHIP_GITLAB_TOKEN_${new URL(gitlab.url).host.replaceAll(/[.:]/g, '_')}`;
    expect((await comment(file, {...elsewhere, [variable]: 'bot-api'})).stderr).toBe('');
    expect(await notes()).toHaveLength(1);
  });

  test('sends no token to another path of the host that it is for', async () => {
    const file = await plan('acme');
    gitlab.log.clear();
    const run = await comment(file, {...job(), CI_API_V4_URL: `${gitlab.url}/other/api/v4`});
    expect(run).toMatchObject({code: 0, stderr: expect.stringContaining('HOST_NOT_NAMED')});
    expect(gitlab.log.entries).toEqual([]);
  });

  test('escapes a name that would end the mark', async () => {
    const file = await plan('a--> @ada');
    await comment(file);
    await comment(file);
    const all = await notes();
    expect(all).toHaveLength(1);
    expect(all[0]?.body).toMatch(/\n<!-- transship plan [^>]* -->$/);
  });
});
