import {describe, expect, test} from 'vitest';
import type {RunResult} from '../../src/model/outcome.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type GitLabSandbox, startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const seed = parseSeed({
  users: [
    {name: 'root', admin: true},
    {name: 'ada', password: 'ada-password'},
  ],
  groups: [{path: 'acme', members: {ada: 'maintainer'}}],
  projects: [{path: 'acme/app', rules: {tags: [{pattern: '^v', delete: 'owner'}]}}],
});
const repository = 'acme/app' as RepositoryPath;
const tagsAt = async ({storage}: GitLabSandbox) =>
  (await storage.manifests.tags(repository)).toSorted();

/** A login for each side: what is deleted at the source is deleted with the login of the source. */
const login = (side: 'SOURCE' | 'DESTINATION', {host}: GitLabSandbox) => ({
  [`TRANSSHIP_${side}_USERNAME`]: 'ada',
  [`TRANSSHIP_${side}_PASSWORD`]: 'ada-password',
  [`TRANSSHIP_${side}_HOST`]: host,
});

describe.each(['metadata-db', 'legacy'] as const)('GitLab in mode %s', (mode) => {
  test('loses what moves away, and keeps protected tags', async () => {
    await using gitlab = await startGitLabSandbox({seed, mode});
    await using elsewhere = await startSandbox();
    for (const tag of ['dev', 'main', 'v1'])
      await storeImage(gitlab.storage, repository, tag, [Buffer.from(tag)]);
    const run = await transship(
      [
        'copy',
        `${gitlab.host}/${repository}`,
        `${elsewhere.host}/copy`,
        '--delete-source',
        '--yes',
        '--format=json',
      ],
      {env: login('SOURCE', gitlab)},
    );
    const {steps, result} = JSON.parse(run.stdout) as RunResult;
    expect(result).toBe('failed');
    expect(steps.flatMap(({error}) => error?.code ?? [])).toEqual(['PROTECTED']);
    expect(await tagsAt(gitlab)).toEqual(['v1']);
  });

  test('uses the time of the push if it is known', async () => {
    let now = Date.parse('2026-01-01T00:00:00Z');
    await using gitlab = await startGitLabSandbox({seed, mode, clock: () => now});
    await using temp = await tempDirectory();
    const file = temp.join('clean.plan.json');
    for (const tag of ['dev-1', 'dev-2', 'dev-3', 'main']) {
      const digest = await storeImage(gitlab.storage, repository, tag, [Buffer.from('a layer')]);
      gitlab.events.add('ada', {kind: 'manifest-pushed', repository, digest, tag});
      now += 86_400_000;
    }
    const env = login('DESTINATION', gitlab);
    const rules = ['--tag', 'dev-*', ...(mode === 'legacy' ? [] : ['--keep-newest', '1'])];
    const planned = await transship(
      ['plan', 'delete', `${gitlab.host}/${repository}`, ...rules, '--out', file],
      {env},
    );
    expect(planned.code).toBe(0);
    expect((await transship(['apply', file, '--yes'], {env})).code).toBe(0);
    expect(await tagsAt(gitlab)).toEqual(mode === 'legacy' ? ['main'] : ['dev-3', 'main']);
  });
});
