import {expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {jsonReply} from '../../src/sandbox/exchange.ts';
import {
  type GitLabSandboxOptions,
  startGitLabSandbox,
} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {SMALL_SEED} from '../support/small-seed.ts';
import {storeImage} from '../support/small-images.ts';
import {transship} from '../support/transship.ts';

/*
 * GitLab's registry with metadata database lists tags with their digests (GitLab container registry:
 * docs/spec/gitlab/api.md, "List Repository Tags").
 */

const TAGS = 30;
const env = {
  TRANSSHIP_DESTINATION_USERNAME: 'ada',
  TRANSSHIP_DESTINATION_PASSWORD: 'ada-password',
};

/** Copies 30 tags into a GitLab, moves two of them at the source, and plans again. */
async function planAgain(options: Partial<GitLabSandboxOptions>) {
  await using gitlab = await startGitLabSandbox({seed: SMALL_SEED, ...options});
  await using source = await startSandbox();
  const store = (tag: number, text: string) =>
    storeImage(source.storage, 'app' as RepositoryPath, `v${tag}`, [Buffer.from(text)]);
  for (let tag = 1; tag <= TAGS; tag += 1) await store(tag, `layer ${tag}`);
  const [from, to] = [`${source.host}/app`, `${gitlab.host}/acme/app`];
  expect((await transship(['copy', from, to, '--no-cache'], {env})).code).toBe(0);
  await store(1, 'another');
  await store(2, 'yet another');
  gitlab.log.clear();
  const args = ['plan', 'copy', from, to, '--no-cache', '--detailed-exitcode', '--format=json'];
  const run = await transship(args, {env});
  const {steps} = JSON.parse(run.stdout) as {steps: {tag: string}[]};
  const heads = gitlab.log.entries.filter(
    ({method, path}) => method === 'HEAD' && path.includes('/manifests/v'),
  );
  return {code: run.code, tags: steps.map(({tag}) => tag).sort(), heads: heads.length};
}

test('a GitLab that lists digests is not asked tag by tag', async () => {
  expect(await planAgain({})).toEqual({code: 2, tags: ['v1', 'v2'], heads: 0});
});

test('a GitLab without metadata database is', async () => {
  expect(await planAgain({mode: 'legacy'})).toEqual({code: 2, tags: ['v1', 'v2'], heads: TAGS});
});

test('so is one whose list fails', async () => {
  const found = await planAgain({
    intercept: async ({path}, next) =>
      path.startsWith('/gitlab/v1/') ? jsonReply(500, {message: 'not today'}) : await next(),
  });
  expect(found).toEqual({code: 2, tags: ['v1', 'v2'], heads: TAGS});
});

test('and so are the tags of a source', async () => {
  await using gitlab = await startGitLabSandbox({seed: SMALL_SEED});
  await using destination = await startSandbox();
  for (let tag = 1; tag <= TAGS; tag += 1) {
    const layers = [Buffer.from(`layer ${tag}`)];
    await storeImage(gitlab.storage, 'acme/app' as RepositoryPath, `v${tag}`, layers);
  }
  const login = {TRANSSHIP_SOURCE_USERNAME: 'ada', TRANSSHIP_SOURCE_PASSWORD: 'ada-password'};
  const ends = [`${gitlab.host}/acme/app`, `${destination.host}/app`];
  expect((await transship(['copy', ...ends, '--no-cache'], {env: login})).code).toBe(0);
  gitlab.log.clear();
  const again = await transship(['plan', 'copy', ...ends, '--no-cache', '--detailed-exitcode'], {
    env: login,
  });
  expect(again.code).toBe(0);
  expect(gitlab.log.entries.filter(({path}) => path.includes('/manifests/v'))).toEqual([]);
});
