import {writeFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import {parse} from 'yaml';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {refusal} from '../../src/sandbox/exchange.ts';
import {startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {countByMethod} from '../support/access-log.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {pushLayout} from '../support/independent.ts';
import {transferSeed} from '../support/plan-transfer.ts';
import {startDockerHub, startHarbor} from '../support/products.ts';
import {pushImage} from '../support/push-image.ts';
import {storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship, type TransshipOptions} from '../support/transship.ts';

const LAYERS = {base: Buffer.alloc(1000, 1), a: Buffer.alloc(300, 2), b: Buffer.alloc(50, 3)};

/** Two images that share their base, one of them under two tags, and one elsewhere. */
async function pushThree(url: string): Promise<void> {
  const {base, a, b} = LAYERS;
  await pushImage(url, 'team/app', 'v1', {layers: [base, a], created: '2026-01-01T00:00:00Z'});
  await pushImage(url, 'team/app', 'v2', {layers: [base, a, b], created: '2026-01-03T00:00:00Z'});
  await pushImage(url, 'team/app', 'latest', {
    layers: [base, a, b],
    created: '2026-01-03T00:00:00Z',
  });
  await pushImage(url, 'team/tool', '1.0', {layers: [base], created: '2026-01-02T00:00:00Z'});
  await pushImage(url, 'other/thing', 'x', {layers: [b]});
}

async function inventory(
  args: readonly string[],
  options: TransshipOptions = {},
): Promise<{code: number; json: Record<string, unknown> & Json}> {
  const run = await transship(['inventory', ...args, '--format', 'json', '--no-cache'], options);
  return {code: run.code, json: JSON.parse(run.stdout) as Record<string, unknown> & Json};
}

interface Json {
  readonly repositories: readonly {
    readonly repository: string;
    readonly images?: {readonly bytes: number; readonly platforms: readonly string[]};
    readonly error?: {readonly code: string};
  }[];
  readonly totals: Readonly<Record<string, number>>;
}

const names = ({repositories}: Json) => repositories.map(({repository}) => repository);

describe('the inventory of a docker-registry', () => {
  test('counts each distinct blob once in the totals, and shared bytes', async () => {
    await using registry = await startDockerRegistry();
    await pushThree(registry.url);
    const {code, json} = await inventory([`${registry.host}/team`]);
    expect(code).toBe(0);
    const config = '{"os":"linux","architecture":"amd64","created":"2026-01-01T00:00:00Z"}'.length;
    expect(json).toMatchObject({
      host: registry.host,
      prefix: 'team',
      depth: 'images',
      unlisted: [],
      repositories: [
        {
          repository: 'team/app',
          tags: 3,
          selected: 3,
          images: {
            count: 2,
            platforms: ['linux/amd64'],
            bytes: 1350 + 2 * config,
            sharedBytes: 1000,
            newest: {tag: 'latest', created: '2026-01-03T00:00:00Z'},
            unreadable: [],
          },
        },
        {
          repository: 'team/tool',
          tags: 1,
          images: {count: 1, bytes: 1000 + config, sharedBytes: 1000},
        },
      ],
      totals: {
        repositories: 2,
        failed: 0,
        tags: 4,
        selected: 4,
        images: 3,
        blobs: 6,
        bytes: 1350 + 3 * config,
        sharedBytes: 1000,
      },
    });
  });

  test('asks once for each list, tag and config, and the next time for no config', async () => {
    await using registry = await startDockerRegistry();
    await using home = await tempDirectory();
    await pushThree(registry.url);
    const look = async () => {
      await registry.forgetRequests();
      const run = await transship(['inventory', registry.host], {home: home.path});
      expect(run.code).toBe(0);
      const kinds = (await registry.requests()).map(({method, path}) => {
        const [kind] = /_catalog|tags|manifests|blobs/.exec(path) ?? ['base'];
        return `${method} ${kind}`;
      });
      return Object.fromEntries(
        [...Map.groupBy(kinds, (kind) => kind)].map(([kind, all]) => [kind, all.length]),
      );
    };
    const lists = {'GET _catalog': 1, 'GET tags': 3};
    expect(await look()).toMatchObject({...lists, 'GET manifests': 5, 'GET blobs': 4});
    const again = await look();
    expect(again).toMatchObject({...lists, 'HEAD manifests': 5});
    expect(again).not.toHaveProperty('GET blobs');
  });

  test('names all platforms of an index, and fewer where the filters choose', async () => {
    await using registry = await startDockerRegistry();
    await pushLayout(layoutDirectory('busybox'), registry.url, 'busybox');
    const {tags} = (await readCorpus()).busybox;
    const all = await inventory([registry.host]);
    const [whole] = all.json.repositories;
    expect(whole).toMatchObject({tags: Object.keys(tags).length});
    expect(whole?.images?.platforms.length).toBeGreaterThan(1);
    const one = await inventory([registry.host, '--platform', 'linux/arm64']);
    const [part] = one.json.repositories;
    expect(part?.images?.platforms.every((platform) => platform.startsWith('linux/arm64'))).toBe(
      true,
    );
    expect(part?.images?.bytes).toBeLessThan(whole?.images?.bytes ?? 0);
  });

  test.each([
    [['--tag', 'v*'], {selected: 2}],
    [['--tag', 'v*', '--newest', '1'], {selected: 1, images: {newest: {tag: 'v2'}}}],
    [['--newer-than', '2026-01-02'], {selected: 2, images: {count: 1}}],
    [['--exclude-tag', '*'], {selected: 0, images: {count: 0, bytes: 0}}],
    [['--platform', 'linux/s390x'], {selected: 0, images: {count: 0, bytes: 0}}],
  ])('with %j reads only the selected tags', async (flags, expected) => {
    await using registry = await startDockerRegistry();
    await pushThree(registry.url);
    const {json} = await inventory([`${registry.host}/team/app`, ...flags]);
    expect(json.repositories[0]).toMatchObject({tags: 3, ...expected});
  });

  test('at depth tags asks for nothing but lists', async () => {
    await using registry = await startDockerRegistry();
    await pushThree(registry.url);
    await registry.forgetRequests();
    const {json} = await inventory([registry.host, '--depth', 'tags']);
    expect(json).toMatchObject({
      repositories: [
        {repository: 'other/thing', tags: 1},
        {repository: 'team/app', tags: 3},
        {repository: 'team/tool', tags: 1},
      ],
      totals: {repositories: 3, failed: 0, tags: 5, selected: 5},
    });
    const requests = await registry.requests();
    expect(requests.filter(({path}) => !/_catalog|tags\/list|^\/v2\/$/.test(path))).toEqual([]);
    expect(countByMethod(requests)).toEqual({GET: 6});
  });

  test('is a table that ends with the totals', async () => {
    await using registry = await startDockerRegistry();
    await pushThree(registry.url);
    const {stdout, code} = await transship(['inventory', `${registry.host}/team`]);
    expect(code).toBe(0);
    expect(stdout).toBe(`REPOSITORY  TAGS  IMAGES     SIZE  SHARED  NEWEST             PLATFORMS
team/app       3       2  1.5 KiB  1000 B  2026-01-03 latest  linux/amd64
team/tool      1       1  1.0 KiB  1000 B  2026-01-02 1.0     linux/amd64

2 repositories, 4 tags, 3 images, 1.5 KiB in 6 blobs, 1000 B saved by shared blobs
`);
  });

  test('counts repositories while it looks', async () => {
    await using registry = await startDockerRegistry();
    await pushThree(registry.url);
    const {stderr} = await transship(['inventory', registry.host, '--progress', 'json']);
    const events = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.at(-1)).toEqual({
      type: 'observing',
      at: expect.any(String),
      what: registry.host,
      done: 3,
      total: 3,
      unit: 'repositories',
    });
  });
});

type Refused = readonly [status: number, code: Parameters<typeof refusal>[1]];

/** A registry whose catalog is answered so, with one repository in it. */
async function withCatalog(...[status, code]: Refused): Promise<Sandbox> {
  const sandbox = await startSandbox({
    intercept: async ({route}, next) => {
      if (route.kind === 'catalog') throw refusal(status, code, 'not for you');
      return next();
    },
  });
  await storeImage(sandbox.storage, 'team/app' as RepositoryPath, 'v1', [LAYERS.a]);
  return sandbox;
}

describe('a registry that does not list its repositories', () => {
  test.each<Refused>([
    [401, 'UNAUTHORIZED'],
    [403, 'DENIED'],
    [404, 'UNSUPPORTED'],
    [405, 'UNSUPPORTED'],
  ])('with %i says what to write instead', async (status, code) => {
    await using registry = await withCatalog(status, code);
    const run = await transship(['inventory', registry.host]);
    expect(run.code).toBe(1);
    expect(toldError(run)).toMatchObject({code: 'REPOSITORIES_NOT_LISTED', side: 'the source'});
    expect(run.stderr).toContain('--repositories FILE');
  });

  test('reads the names from a file or stdin', async () => {
    await using registry = await withCatalog(403, 'DENIED');
    await using temp = await tempDirectory();
    await writeFile(temp.join('names.txt'), `# mine\n${registry.host}/team/app\n`);
    const {json, code} = await inventory([registry.host, '--repositories', temp.join('names.txt')]);
    expect(code).toBe(0);
    expect(names(json)).toEqual(['team/app']);
    const piped = await inventory([registry.host, '--repositories', '-'], {
      stdin: 'team/app\nteam/gone\n',
    });
    expect(piped.code).toBe(1);
    expect(piped.json.repositories).toMatchObject([
      {repository: 'team/app', tags: 1},
      {repository: 'team/gone', error: {code: 'REPOSITORY_NOT_FOUND'}},
    ]);
    expect(piped.json.totals).toMatchObject({repositories: 2, failed: 1, tags: 1});
  });

  test('that fails for a time is not told to be one', async () => {
    await using registry = await withCatalog(503, 'UNKNOWN');
    const run = await transship(['inventory', registry.host]);
    expect(toldError(run)).toMatchObject({code: 'REGISTRY_UNAVAILABLE'});
  });
});

test('a tag that cannot be read is named, and the others are counted', async () => {
  await using registry = await startSandbox({
    intercept: async ({route}, next) => {
      if (route.kind === 'manifest' && route.reference === 'bad')
        return {
          status: 200,
          headers: {'content-type': 'application/json'},
          body: Buffer.from('no'),
        };
      return next();
    },
  });
  const path = 'team/app' as RepositoryPath;
  await storeImage(registry.storage, path, 'good', [LAYERS.a]);
  await storeImage(registry.storage, path, 'bad', [LAYERS.b]);
  const {code, json} = await inventory([registry.host]);
  expect(code).toBe(1);
  expect(json.repositories).toMatchObject([
    {images: {count: 1, unreadable: [{tag: 'bad', error: {code: 'MANIFEST_INVALID'}}]}},
  ]);
  const {stdout} = await transship(['inventory', registry.host]);
  expect(stdout).toMatch(/ {2}! bad: .*\[MANIFEST_INVALID\]\n[^]*1 not read completely\n$/);
});

describe('a product is known by what it answers', () => {
  test('Harbor, whose robot sees its projects', async () => {
    const robot = {name: 'robot$ci', password: 'pw', projects: ['team', 'locked'], list: ['team']};
    const team = {name: 'team', repositories: ['app', 'nested/tool']};
    await using harbor = await startHarbor([team, {name: 'locked', repositories: ['x']}], [robot]);
    for (const name of ['team/app', 'team/nested/tool'])
      await storeImage(harbor.storage, name as RepositoryPath, 'v1', [LAYERS.a]);
    const env = {TRANSSHIP_SOURCE_USERNAME: robot.name, TRANSSHIP_SOURCE_PASSWORD: robot.password};
    const {code, json} = await inventory([harbor.host], {env});
    expect(names(json)).toEqual(['team/app', 'team/nested/tool']);
    expect(json).toMatchObject({
      repositories: [{updated: '2026-03-01T10:00:00.000Z', images: {count: 1}}, {}],
      unlisted: [{part: 'locked', error: {code: 'REPOSITORIES_NOT_LISTED'}}],
    });
    expect(code).toBe(1);
  });

  test('a GitLab, which has to be named before it gets the token', async () => {
    await using gitlab = await startGitLabSandbox({seed: parseSeed(transferSeed())});
    const args = [`${gitlab.host}/org/build`];
    const unnamed = await transship(['inventory', ...args], {env: {GITLAB_TOKEN: 'ada-api'}});
    expect(toldError(unnamed)).toMatchObject({code: 'REPOSITORIES_NOT_LISTED'});
    expect(unnamed.stderr).toContain(`--gitlab ${gitlab.url}`);
    expect(gitlab.log.entries.filter(({path}) => path.startsWith('/api'))).toEqual([]);

    const {code, json} = await inventory([...args, '--gitlab', gitlab.url], {
      env: {GITLAB_TOKEN: 'ada-api'},
    });
    expect(code).toBe(0);
    expect(names(json)).toEqual(['org/build/app', 'org/build/app/tools/lint']);
  });

  test('a Docker Hub, by its flag', async () => {
    await using hub = await startDockerHub({acme: [{name: 'web'}]});
    await storeImage(hub.storage, 'acme/web' as RepositoryPath, 'v1', [LAYERS.a]);
    const {json} = await inventory([`${hub.host}/acme`, '--source-kind', 'docker-hub']);
    expect(names(json)).toEqual(['acme/web']);
  });
});

describe('a migration file to start from', () => {
  test('has a glob for the list of the source, with the names as a comment', async () => {
    await using registry = await startDockerRegistry();
    await pushThree(registry.url);
    const flags = ['--format', 'yaml', '--tag', 'v*', '--tag', '*: # x', '--newest', '2'];
    const {stdout} = await transship(['inventory', `${registry.host}/team`, ...flags]);
    expect(parse(stdout)).toEqual({
      version: 1,
      from: registry.host,
      to: 'registry.gitlab.example.com/group',
      routes: [{from: 'team/**', to: '{path}', tags: {include: ['v*', '*: # x'], newest: 2}}],
    });
    expect(stdout).toMatch(/^ *# team\/app: 3 tags, .* KiB$/m);
    expect(stdout).toMatch(/^to: \S+ # replace/m);
  });

  test('has a route for each name that was given', async () => {
    await using registry = await startDockerRegistry();
    await pushThree(registry.url);
    const run = await transship(
      ['inventory', registry.host, '--repositories', '-', '--format', 'yaml', '--depth', 'tags'],
      {stdin: 'team/app\nteam/gone\n'},
    );
    expect(run.code).toBe(1);
    expect(parse(run.stdout)).toMatchObject({routes: [{from: 'team/app', to: '{path}'}]});
    expect(run.stdout).toContain('# 3 tags\n');
    expect(run.stdout).toContain('# team/gone: not read: ');
  });
});

test('a migration file to start from is one that plan reads, whatever the repositories are called', async () => {
  const given = 'my.team/app\nlocalhost/app\nteam/app\n';
  const {stdout} = await transship(
    ['inventory', `127.0.0.1:1`, '--repositories', '-', '--format', 'yaml', '--depth', 'tags'],
    {stdin: given},
  );
  await using temp = await tempDirectory();
  await writeFile(temp.join('m.yaml'), stdout);
  const empty = await transship(['plan', temp.join('m.yaml'), '--check']);
  expect(empty.stderr).toContain('it has no route');

  await using registry = await startSandbox();
  for (const path of given.trim().split('\n'))
    await storeImage(registry.storage, path as RepositoryPath, 'v1', [LAYERS.a]);
  const listed = await transship(
    ['inventory', registry.host, '--repositories', '-', '--format', 'yaml', '--depth', 'tags'],
    {stdin: given},
  );
  await writeFile(temp.join('m.yaml'), listed.stdout);
  const {code, stdout: told} = await transship([
    'plan',
    temp.join('m.yaml'),
    '--check',
    '--format',
    'json',
  ]);
  expect(code).toBe(0);
  expect(told).toContain(`${registry.host}/my.team/app`);
  expect(told).toContain(`${registry.host}/localhost/app`);
});

test.each([
  [['reg.example/team/app:v1'], 'REFERENCE_INVALID'],
  [['reg.example/Team'], 'REFERENCE_INVALID'],
  [['https://reg.example/team'], 'REFERENCE_INVALID'],
  [['me:secret@reg.example'], 'REFERENCE_INVALID'],
  [['reg.example', '--depth', 'tags', '--newest', '2'], 'USAGE'],
  [['reg.example', '--source-kind', 'nexus'], 'USAGE'],
  [['reg.example', '--semver', 'x.y.z.w'], 'FILTER_INVALID'],
  [['reg.example', '--repositories', '/nonesuch'], 'FILE_UNREADABLE'],
])('wrong arguments %j are refused before anything is asked', async (args, code) => {
  const run = await transship(['inventory', ...args]);
  expect(run.code).toBe(64);
  expect(toldError(run).code).toBe(code);
  expect(run.stderr).not.toContain('secret');
});

test('an interruption ends it immediately, with nothing on stdout', async () => {
  const stopping = new AbortController();
  await using registry = await startSandbox({
    intercept: async ({route, signal}, next) => {
      if (route.kind !== 'tags') return next();
      stopping.abort();
      await new Promise((go) => signal.addEventListener('abort', go));
      return next();
    },
  });
  await storeImage(registry.storage, 'team/app' as RepositoryPath, 'v1', [LAYERS.a]);
  const run = await transship(['inventory', registry.host], {stopping: stopping.signal});
  expect(run).toMatchObject({code: 130, stdout: ''});
});
