import {writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {digestOf} from '../../src/model/digest.ts';
import {parseManifest} from '../../src/model/manifest.ts';
import {OCI_INDEX} from '../../src/model/media-type.ts';
import {absentRepository} from '../../src/model/port.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {MemoizedReader, RecentManifests} from '../../src/observe/memoized-reader.ts';
import {startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {SMALL_SEED} from '../support/small-seed.ts';
import {storeImage} from '../support/small-images.ts';
import {NEVER} from '../support/streams.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const TAGS = 20;

test('a source of two destinations lists its digests once, and is not asked tag by tag', async () => {
  await using gitlab = await startGitLabSandbox({seed: SMALL_SEED});
  await using destination = await startSandbox();
  for (let tag = 1; tag <= TAGS; tag += 1) {
    const layers = [Buffer.from(`layer ${tag}`)];
    await storeImage(gitlab.storage, 'acme/app' as RepositoryPath, `v${tag}`, layers);
  }
  const login = {TRANSSHIP_SOURCE_USERNAME: 'ada', TRANSSHIP_SOURCE_PASSWORD: 'ada-password'};
  const source = `${gitlab.host}/acme/app`;
  for (const to of ['one', 'two']) {
    const args = ['copy', source, `${destination.host}/${to}`, '--no-cache'];
    expect((await transship(args, {env: login})).code).toBe(0);
  }
  await using directory = await tempDirectory();
  const file = directory.join('migration.yaml');
  const to = ['one', 'two'].map((path) => `${destination.host}/${path}`).join(', ');
  await writeFile(file, `version: 1\nroutes:\n  - {from: '${source}', to: [${to}]}\n`);
  gitlab.log.clear();
  const run = await transship(['plan', file, '--no-cache', '--detailed-exitcode'], {
    env: login,
  });
  expect(run.code).toBe(0);
  const paths = gitlab.log.entries.map(({path}) => path);
  expect(paths.filter((path) => path.includes('/manifests/v'))).toEqual([]);
  expect(paths.filter((path) => path.startsWith('/gitlab/v1/'))).toHaveLength(1);
});

test('manifests beyond the limit are read again, with the digests that their tags had', async () => {
  const manifests = new Map(
    ['a', 'b'].map((tag) => {
      const bytes = Buffer.from(
        JSON.stringify({schemaVersion: 2, manifests: [], annotations: {padding: tag.repeat(1000)}}),
      );
      return [tag, parseManifest(bytes, OCI_INDEX, digestOf(bytes), 'source')];
    }),
  );
  const asked: string[] = [];
  const source = {
    ...absentRepository('r.test/app'),
    getManifest: (reference: string) => {
      asked.push(reference);
      const byDigest = [...manifests.values()].find((one) => one.descriptor.digest === reference);
      return Promise.resolve(manifests.get(reference) ?? byDigest);
    },
  };
  const reader = new MemoizedReader(source, new RecentManifests(1500));
  const read = async (tag: string) =>
    (await reader.getManifest(tag as Tag, {signal: NEVER}))?.bytes;
  const [a, b] = [manifests.get('a'), manifests.get('b')];
  expect([await read('a'), await read('a'), await read('b'), await read('a')]).toEqual([
    a?.bytes,
    a?.bytes,
    b?.bytes,
    a?.bytes,
  ]);
  expect(asked).toEqual(['a', 'b', a?.descriptor.digest]);
});
