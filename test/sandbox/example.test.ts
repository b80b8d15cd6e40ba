import {readFile} from 'node:fs/promises';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {parse} from 'yaml';
import {EXAMPLE_MOVE, EXAMPLE_SEED, putExamples} from '../../src/sandbox/example.ts';
import {startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed, type SeedInput} from '../../src/sandbox/gitlab/seed.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {skopeo} from '../support/skopeo.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

let temp: TempDirectory;

beforeAll(async () => {
  temp = await tempDirectory();
});
afterAll(() => temp[Symbol.asyncDispose]());

test('the example images are images to other clients as well', async () => {
  await using sandbox = await startSandbox();
  await putExamples(sandbox.storage);
  const app = `docker://${sandbox.host}/team/app:1.1`;
  const inspected = await skopeo(['inspect', '--tls-verify=false', app]);
  expect(JSON.parse(inspected.stdout)).toMatchObject({
    RepoTags: ['1.0', '1.1', 'latest'],
    Os: 'linux',
  });
  const layout = `oci:${temp.join('skopeo')}:app`;
  const copied = await skopeo(['copy', '--all', '--src-tls-verify=false', app, layout]);
  expect(copied).toMatchObject({code: 0});
  const listed = await transship(['inventory', sandbox.host]);
  expect(listed.stdout).toContain('2 repositories, 5 tags');
});

test('the example instance is that of plans/sandbox.yaml', async () => {
  const file = new URL('../../plans/sandbox.yaml', import.meta.url);
  const {projects = [], ...rest} = parse(await readFile(file, 'utf8')) as SeedInput;
  const made = projects.map(({images = [], ...project}) => ({
    ...project,
    images: images.map(({name, tag}) => ({name, tag})),
  }));
  expect(EXAMPLE_SEED).toEqual({...rest, projects: made});
});

test('its project can be moved with its token', async () => {
  await using gitlab = await startGitLabSandbox({seed: parseSeed(EXAMPLE_SEED)});
  const {project, to, token} = EXAMPLE_MOVE;
  const plan = temp.join('move.plan.json');
  const env = {GITLAB_TOKEN: token};
  const move = [project, '--to', to, '--gitlab', gitlab.url, '--donor', temp.join('donor')];
  const args = ['plan', 'transfer', ...move, '--out', plan];
  expect(await transship(args, {env})).toMatchObject({code: 0});
  expect(await transship(['apply', plan, '--yes'], {env})).toMatchObject({code: 0});
  expect(await transship(['verify', plan], {env})).toMatchObject({code: 0});
});
