import {readdir, readFile, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {ciProject} from '../support/gitlab-ci-local.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const EXAMPLE = await readFile(
  fileURLToPath(new URL('../../examples/gitlab-ci.yml', import.meta.url)),
  'utf8',
);

function shardLine(job: string, at: number, total: number): RegExp {
  return new RegExp(`${job}.*\\[${at}/${total}\\].*shard ${at} of ${total}`);
}

test('the example plans, reviews, applies in four jobs and verifies', async () => {
  await using source = await startSandbox();
  await using destination = await startDockerRegistry();
  const names = Array.from({length: 8}, (_, at) => `team/app-${at}`);
  const base = someBytes(2000);
  for (const name of names)
    await storeImage(source.storage, name as RepositoryPath, 'v1', [base, someBytes(800)]);
  await using project = await ciProject({
    '.gitlab-ci.yml': EXAMPLE,
    'plans/acme.yaml': `version: 1\nfrom: ${source.host}\nto: ${destination.host}/acme\nroutes:\n  - from: 'team/**'\n`,
    'plans/policy.yaml': 'version: 1\nmaxImages: 100\n',
  });

  const run = await project.run(['--manual', 'apply']);

  expect(run).toMatchObject({code: 0});
  for (const at of [1, 2, 3, 4]) expect(run.stderr).toMatch(shardLine('copy', at, 4));
  expect(run.stdout).toContain('Status: 8 of 8 images done, 0 failed, 0 left');
  expect(run.stdout.match(/Verified: \d+ tags?/g)).toHaveLength(4);
  for (const name of names) {
    const accept = 'application/vnd.oci.image.manifest.v1+json';
    const found = await fetch(`${destination.url}/v2/acme/${name}/manifests/v1`, {
      headers: {accept},
    });
    expect(found.status).toBe(200);
  }
  const made = await readdir(project.path);
  expect(made).toEqual(
    expect.arrayContaining([
      'review.html',
      'review.md',
      ...[1, 2, 3, 4].map((at) => `acme.${at}-of-4.journal.ndjson`),
    ]),
  );
  expect(await readFile(project.join('review.md'), 'utf8')).toMatch(/^\*\*Plan: 8 images to copy/);
});

test('deletions wait for the last job, which is manual', async () => {
  await using source = await startSandbox();
  await using destination = await startSandbox();
  const names = ['team/a', 'team/b', 'team/c'] as RepositoryPath[];
  for (const name of names) await storeImage(source.storage, name, 'v1', [someBytes(500)]);
  await using temp = await tempDirectory();
  const [file, plan] = [temp.join('acme.yaml'), temp.join('acme.plan.json')];
  await writeFile(
    file,
    `version: 1\nfrom: ${source.host}\nto: ${destination.host}/acme\nroutes:\n  - from: 'team/**'\ndeleteSource: afterVerify\n`,
  );
  expect((await transship(['plan', file, '--out', plan])).code).toBe(0);
  const child = temp.join('child.yml');
  const made = await transship([
    'pipeline',
    plan,
    '--parallel',
    '2',
    '--no-plan-job',
    '--out',
    child,
  ]);
  expect(made).toMatchObject({code: 0, stderr: ''});
  // In the repository, jobs have the plan beside their journals, and nothing else of each other but artefacts.
  const text = (await readFile(child, 'utf8')).replaceAll(/[^ ]*acme\.plan/g, 'acme.plan');
  await using project = await ciProject({
    '.gitlab-ci.yml': text.replaceAll(/- [^ ]*acme\*/g, '- acme*'),
    'acme.plan.json': await readFile(plan, 'utf8'),
  });
  const tags = async () =>
    (await Promise.all(names.map((name) => source.storage.manifests.tags(name)))).flat();

  const run = await project.run(['--shell-isolation']);

  expect(run).toMatchObject({code: 0});
  expect(run.stdout).toContain('Status: 3 of 6 steps done, 0 failed, 3 left');
  expect(run.stdout).toContain('Journals (2)');
  expect(run.stdout.match(/Verified: /g)).toHaveLength(2);
  expect(await tags()).toHaveLength(3);

  const last = await project.run(['--shell-isolation', 'delete']);
  expect(last).toMatchObject({code: 0});
  expect(await tags()).toEqual([]);
});

test('the component does the same for a project that includes it', async () => {
  await using source = await startSandbox();
  await using destination = await startSandbox();
  const names = ['team/a', 'team/b', 'team/c'] as RepositoryPath[];
  for (const name of names) await storeImage(source.storage, name, 'v1', [someBytes(500)]);
  const component = await readFile(
    fileURLToPath(new URL('../../templates/transship.yml', import.meta.url)),
    'utf8',
  );
  await using project = await ciProject({
    '.gitlab-ci.yml': `include:\n  - local: templates/transship.yml\n    inputs: {migration: plans/acme.yaml, parallel: 2, name: move}\nstages: [deploy]\n`,
    'templates/transship.yml': component,
    'plans/acme.yaml': `version: 1\nfrom: ${source.host}\nto: ${destination.host}/acme\nroutes:\n  - from: 'team/**'\n`,
  });

  const run = await project.run(['--manual', 'move-apply']);

  expect(run).toMatchObject({code: 0});
  expect(run.stdout).toContain('Status: 3 of 3 images done');
  expect(run.stdout.match(/Verified: /g)).toHaveLength(2);
});
