import {execFile} from 'node:child_process';
import {mkdir, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {promisify} from 'node:util';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {CopyPlan} from '../../src/model/plan.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {toldError} from '../support/error-lines.ts';
import {LayoutFiles, tagOf} from '../support/layout-files.ts';
import {sha256} from '../support/push-image.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const OCI = 'application/vnd.oci.image';
const cleanup = new AsyncDisposableStack();
let destination: Sandbox;
let temp: TempDirectory;
let count = 0;
let repository: RepositoryPath;
let directory: string;
let to: string;

beforeAll(async () => {
  destination = cleanup.use(await startSandbox());
  temp = cleanup.use(await tempDirectory());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  repository = `test/r${++count}` as RepositoryPath;
  directory = temp.join(`layout-${count}`);
  to = `${destination.host}/${repository}`;
});

interface Listed {
  readonly name?: string | undefined;
  readonly subject?: string;
}

/** Writes a layout with one image for each entry, by nothing of the program's; gives their digests. */
async function layout(entries: readonly Listed[]): Promise<readonly string[]> {
  const store = async (bytes: Buffer) => {
    const digest = sha256(bytes);
    const file = join(directory, 'blobs/sha256', digest.slice(7));
    await mkdir(dirname(file), {recursive: true});
    await writeFile(file, bytes);
    return {digest, size: bytes.length};
  };
  const digests: string[] = [];
  const manifests: object[] = [];
  for (const [at, {name, subject}] of entries.entries()) {
    const mediaType = `${OCI}.manifest.v1+json`;
    const body = {
      schemaVersion: 2,
      mediaType,
      config: {
        mediaType: `${OCI}.config.v1+json`,
        ...(await store(Buffer.from(`{"os":"linux","architecture":"amd64","at":${at}}`))),
      },
      layers: [
        {mediaType: `${OCI}.layer.v1.tar`, ...(await store(Buffer.from(`${repository} ${at}`)))},
      ],
      ...(subject === undefined ? {} : {subject: {mediaType, digest: subject, size: 1}}),
    };
    const stored = await store(Buffer.from(JSON.stringify(body)));
    const annotations =
      name === undefined ? {} : {annotations: {'org.opencontainers.image.ref.name': name}};
    manifests.push({mediaType, ...stored, ...annotations});
    digests.push(stored.digest);
  }
  await writeFile(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(join(directory, 'index.json'), JSON.stringify({schemaVersion: 2, manifests}));
  return digests;
}

async function tagsThere(): Promise<Readonly<Record<string, string | undefined>>> {
  const {manifests} = destination.storage;
  const tags = await manifests.tags(repository);
  return Object.fromEntries(
    await Promise.all(
      tags.map(async (tag) => [tag, await manifests.resolve(repository, tag)] as const),
    ),
  );
}

describe('one image of a layout', () => {
  test.each([
    ['a name with a tag', 'team/app:v1', ':team/app:v1', '', 'v1'],
    ['a whole reference', 'docker.io/team/app:1.2', ':docker.io/team/app:1.2', '', '1.2'],
    ['a name without a tag', 'feature/x', ':feature/x', ':x', 'x'],
    ['a name with a digest', `app@sha256:${'a'.repeat(64)}`, undefined, ':x', 'x'],
    ['a name with a plus sign', '1.0.0+build', ':1.0.0+build', ':b', 'b'],
  ])('is found by %s', async (_what, name, suffix, toSuffix, tag) => {
    const [digest] = await layout([{name}, {name: 'other'}]);
    const from = `oci:${directory}${suffix ?? `:${name}`}`;
    expect(await transship(['copy', from, `${to}${toSuffix}`])).toMatchObject({code: 0});
    expect(await tagsThere()).toEqual({[tag]: digest});
    // Again there is nothing to do.
    const again = await transship([
      'plan',
      'copy',
      from,
      `${to}${toSuffix}`,
      '--detailed-exitcode',
    ]);
    expect(again.code).toBe(0);
  });

  test('is found by its digest, named or not', async () => {
    const [, digest] = await layout([{name: 'a'}, {}]);
    const run = await transship(['copy', `oci:${directory}@${digest}`, `${to}:x`]);
    expect(run).toMatchObject({code: 0, stderr: ''});
    expect(await tagsThere()).toEqual({x: digest});
  });

  test('is found in an archive by both', async () => {
    const [named, unnamed] = await layout([{name: 'team/app:v1'}, {}]);
    const file = temp.join(`${count}.tar`);
    await promisify(execFile)('tar', ['-cf', file, '-C', directory, '.']);
    await transship(['copy', `oci-archive:${file}:team/app:v1`, to]);
    await transship(['copy', `oci-archive:${file}@${unnamed}`, `${to}:x`]);
    expect(await tagsThere()).toEqual({v1: named, x: unnamed});
  });

  test('keeps its name in another layout, and a plan of it can be applied', async () => {
    const [digest] = await layout([{name: 'team/app:v1'}, {name: 'b'}]);
    const [file, other] = [temp.join(`${count}.plan.json`), temp.join(`other-${count}`)];
    const places = [`oci:${directory}:team/app:v1`, `oci:${other}`];
    expect((await transship(['plan', 'copy', ...places, '--out', file])).code).toBe(0);
    expect((await transship(['apply', file])).code).toBe(0);
    const {entries} = await LayoutFiles.open(other);
    expect(entries.map((entry) => [tagOf(entry), entry.digest])).toEqual([['team/app:v1', digest]]);
    expect((await transship(['verify', file])).code).toBe(0);
  });

  test('without a tag in its name needs one at the destination', async () => {
    await layout([{name: 'feature/x'}, {name: 'b'}]);
    const error = toldError(await transship(['copy', `oci:${directory}:feature/x`, to]));
    expect(error).toMatchObject({code: 'USAGE', exit: 64});
    expect(error.hint).toContain(`${to}:TAG`);
  });
});

describe('a layout without a name', () => {
  test('means its only image, which is latest by default', async () => {
    const [digest] = await layout([{}]);
    expect(await transship(['copy', `oci:${directory}`, to])).toMatchObject({code: 0, stderr: ''});
    expect(await transship(['copy', `oci:${directory}`, `${to}:v1`])).toMatchObject({code: 0});
    expect(await tagsThere()).toEqual({latest: digest, v1: digest});
    const again = await transship(['copy', `oci:${directory}`, to]);
    expect(again.stdout).toContain('0 images copied');
  });

  test('means its only image where its referrers are listed beside it', async () => {
    const [image = ''] = await layout([{name: 'v1'}]);
    const [, referrer] = await layout([{name: 'v1'}, {subject: image}]);
    expect((await transship(['copy', `oci:${directory}`, `${to}:x`])).code).toBe(0);
    expect(await tagsThere()).toEqual({x: image});
    const {url} = destination;
    const listed = await fetch(`${url}/v2/${repository}/referrers/${image}`);
    expect(await listed.json()).toMatchObject({manifests: [{digest: referrer}]});
  });

  test('means all of its names; those of one repository become its tags', async () => {
    const [a, b, c] = await layout([
      {name: 'docker.io/team/app:1.2'},
      {name: 'docker.io/team/app:1.3'},
      {name: 'latest'},
    ]);
    expect(await transship(['copy', `oci:${directory}`, to])).toMatchObject({code: 0, stderr: ''});
    expect(await tagsThere()).toEqual({'1.2': a, '1.3': b, latest: c});
    const again = await transship(['copy', `oci:${directory}`, to]);
    expect(again.stdout).toContain('0 images copied');
  });

  test('keeps all names in another layout', async () => {
    const names = ['app:8.0', 'tools:latest', 'feature/x', 'v1'];
    await layout(names.map((name) => ({name})));
    const other = temp.join(`other-${count}`);
    const run = await transship(['copy', `oci:${directory}`, `oci:${other}`]);
    expect(run).toMatchObject({code: 0, stderr: ''});
    const {entries} = await LayoutFiles.open(other);
    expect(new Set(entries.map(tagOf))).toEqual(new Set(names));
  });

  test.each([
    ['names of several repositories', [{name: 'app:8.0'}, {name: 'tools:latest'}], 'app:8.0'],
    ['a name without a tag', [{name: 'feature/x'}], 'feature/x'],
    ['two images without a name', [{}, {}], '@sha256:'],
  ])('cannot be copied completely if it has %s', async (_what, entries, named) => {
    await layout(entries);
    const planned = await transship(['plan', 'copy', `oci:${directory}`, to, '--format', 'json']);
    const {skipped} = JSON.parse(planned.stdout) as CopyPlan;
    expect(skipped.map(({reason}) => reason)).toEqual(entries.map(() => 'unnamed'));
    const run = await transship(['copy', `oci:${directory}`, to]);
    expect(run.code).toBe(3);
    expect(run.stderr).toContain(named);
    expect(await tagsThere()).toEqual({});
  });

  test.each([
    ['without a name', {}],
    ['with a name that another has', {name: 'a'}],
  ])(
    'leaves out an image %s with a message and exit 1, and copies the others',
    async (_what, more) => {
      const [a, left = ''] = await layout([{name: 'a'}, more]);
      const run = await transship(['copy', `oci:${directory}`, to]);
      expect(run.code).toBe(1);
      expect(run.stdout).toContain(`copy it as oci:${directory}@${left}`);
      expect(run.stderr).toContain(`${left.slice(0, 19)}, which has no tag of its own`);
      expect(await tagsThere()).toEqual({a});
    },
  );

  test('and several images does not go under one tag', async () => {
    await layout([{name: 'a'}, {name: 'b'}]);
    const error = toldError(await transship(['copy', `oci:${directory}`, `${to}:v1`]));
    expect(error).toMatchObject({code: 'REFERENCE_INVALID', exit: 64});
    expect(error.message).toContain('2 images');
  });

  test('cannot have filters beside the tag that its only image gets', async () => {
    await layout([{name: 'a'}]);
    const args = ['copy', `oci:${directory}`, `${to}:v1`, '--tag', 'b'];
    expect(toldError(await transship(args))).toMatchObject({code: 'USAGE'});
  });

  test('has its names filtered by their tags', async () => {
    const [a] = await layout([{name: 'team/app:v1'}, {name: 'team/app:v2'}]);
    expect((await transship(['copy', `oci:${directory}`, to, '--tag', 'v1'])).code).toBe(0);
    expect(await tagsThere()).toEqual({v1: a});
  });
});

test('a plan that was changed to ask a registry for a name that is no tag is invalid', async () => {
  await layout([{name: 'a'}]);
  const planned = await transship(['plan', 'copy', `oci:${directory}`, to, '--format', 'json']);
  const plan = JSON.parse(planned.stdout) as CopyPlan;
  const file = temp.join(`${count}.plan.json`);
  const steps = plan.steps.map((step) => ({...step, tag: 'team/app:v1'}));
  await writeFile(file, JSON.stringify({...plan, steps}));
  expect(toldError(await transship(['apply', file]))).toMatchObject({code: 'PLAN_INVALID'});
});
