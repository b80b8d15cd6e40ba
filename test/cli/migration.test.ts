import {writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {copiesOf, type CopyPlan} from '../../src/model/plan.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {refusal} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {pushImage} from '../support/push-image.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship, type TransshipOptions} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let source: DockerRegistry;
let destination: Sandbox;

const [BASE, A, B] = [Buffer.alloc(2000, 1), Buffer.alloc(300, 2), Buffer.alloc(50, 3)];

beforeAll(async () => {
  source = cleanup.use(await startDockerRegistry());
  destination = cleanup.use(await startSandbox());
  const {url} = source;
  await pushImage(url, 'team/web/api', 'release-1', {layers: [BASE, A]});
  await pushImage(url, 'team/web/api', 'v2', {layers: [BASE, A, B]});
  await pushImage(url, 'team/web/api', 'v2-rc1', {layers: [BASE, B]});
  await pushImage(url, 'team/db', 'v1', {layers: [BASE]});
  await pushImage(url, 'team/old-db', 'v1', {layers: [B]});
  await pushImage(url, 'other/tool', 'v1', {layers: [A]});
});
afterAll(() => cleanup.disposeAsync());

/** Runs `plan FILE` on a migration file with this text. */
async function plan(text: string, options: TransshipOptions = {}, ...flags: readonly string[]) {
  await using temp = await tempDirectory();
  const file = temp.join('acme.yaml');
  await writeFile(file, text);
  await writeFile(temp.join('list.txt'), `team/db\n# not this one\n${source.host}/other/tool\n`);
  const run = await transship(['plan', file, '--format=json', '--no-cache', ...flags], {
    env: {SOURCE: source.host, DESTINATION: destination.host},
    ...options,
  });
  const made = run.stdout === '' ? undefined : (JSON.parse(run.stdout) as CopyPlan);
  return {file, ...run, made};
}

const header = 'version: 1\nfrom: ${SOURCE}\nto: ${DESTINATION}/acme\nroutes:\n';

const bare = (name: string) => name.slice(name.indexOf('/') + 1);

/** `repository:tag -> repository:tag` of every step, without hosts. */
function copies(made: CopyPlan | undefined): readonly string[] {
  return (made ? copiesOf(made) : []).map(
    ({from, to, tag, sourceTag}) =>
      `${bare(from)}:${sourceTag?.name ?? ''} -> ${bare(to)}:${tag ?? ''}`,
  );
}

const forbidden = (made: CopyPlan | undefined) =>
  (made?.checks ?? []).filter(({result}) => result === 'forbid');

describe('plan FILE.yaml', () => {
  test('copies what the routes mean, and a second plan has nothing to do', async () => {
    await using temp = await tempDirectory();
    const file = temp.join('acme.yaml');
    const out = temp.join('acme.plan.json');
    await writeFile(
      file,
      `${header}  - from: team/**
    exclude: team/old-*
    to: ['first/{flat}', 'second/{parent}/{name}']
    tags: {exclude: ['*-rc*'], rename: {'release-(.*)': 'v$1'}}
  - from: other/tool
    to: tools/tool
`,
    );
    const options = {env: {SOURCE: source.host, DESTINATION: destination.host}};
    const made = await transship(
      ['plan', file, '--out', out, '--detailed-exitcode', '--no-cache'],
      options,
    );
    expect([made.code, made.stderr]).toEqual([2, '']);
    expect((await transship(['apply', out], options)).code).toBe(0);
    expect((await transship(['verify', out], options)).code).toBe(0);
    const tags = async (path: string) =>
      [...(await destination.storage.manifests.tags(path as RepositoryPath))].sort();
    expect(await tags('acme/first/team-web-api')).toEqual(['v1', 'v2']);
    expect(await tags('acme/second/team/web/api')).toEqual(['v1', 'v2']);
    expect(await tags('acme/first/team-db')).toEqual(['v1']);
    expect(await tags('acme/tools/tool')).toEqual(['v1']);
    expect(await destination.storage.repositories()).toHaveLength(5);
    const again = await transship(['plan', file, '--detailed-exitcode', '--no-cache'], options);
    expect([again.code, again.stderr]).toEqual([0, '']);
  });

  test('takes the repositories from a file beside it, or from stdin', async () => {
    const routes = `  - from: '**'\n    to: file/{path}\n    repositories: {file: list.txt}\n`;
    const expected = [
      'other/tool:v1 -> acme/file/other/tool:v1',
      'team/db:v1 -> acme/file/team/db:v1',
    ];
    expect(copies((await plan(header + routes)).made)).toEqual(expected);
    const piped = routes.replace('list.txt', "'-'");
    const {made} = await plan(header + piped, {
      env: {SOURCE: source.host, DESTINATION: destination.host},
      stdin: 'team/db\nother/tool\n',
    });
    expect(copies(made)).toEqual(expected);
  });

  test('refuses a list with the wrong lines', async () => {
    const routes = `  - from: '**'\n    repositories: {file: '-'}\n`;
    const run = await plan(header + routes, {
      env: {SOURCE: source.host, DESTINATION: destination.host},
      stdin: 'team/db:v1\n',
    });
    expect([run.code, run.stdout]).toEqual([64, '']);
    const {error} = JSON.parse(run.stderr) as {error: {problems: readonly object[]}};
    const message = '"team/db:v1" is not the name of a repository';
    expect(error.problems).toEqual([{file: 'stdin', line: 1, column: 1, message}]);
  });

  test('refuses --check with a format that only plans have', async () => {
    const {code, stderr} = await plan(`${header}  - from: x\n`, {}, '--check', '--format=html');
    expect(code).toBe(64);
    expect(stderr).toContain('--check has no --format html');
  });
});

describe('what forbids a plan names its place in the file', () => {
  test('a route that matches nothing', async () => {
    const {code, file, made} = await plan(
      `${header}  - from: nowhere/*\n  - from: team/x*\n  - from: team/d*\n    exclude: team/*\n`,
    );
    expect(code).toBe(3);
    expect(forbidden(made).map(({message}) => message)).toEqual([
      `${file}:5:11: "nowhere/*" matches no repository of ${source.host}`,
      `${file}:6:11: "team/x*" matches no repository of ${source.host}`,
      `${file}:7:11: "team/d*" matches no repository of ${source.host}`,
    ]);
  });

  test('a repository that is not there, beside others that are', async () => {
    const {code, file, made} = await plan(`${header}  - from: team/none\n  - from: team/db\n`);
    expect(code).toBe(3);
    expect(copies(made)).toEqual(['team/db:v1 -> acme/team/db:v1']);
    expect(forbidden(made)).toEqual([
      expect.objectContaining({
        code: 'REPOSITORY_NOT_FOUND',
        message: expect.stringContaining(`${file}:5:5: ${source.host}/team/none`),
      }),
    ]);
  });

  test.each([
    ['two images', '  - {from: team/db, to: x}\n  - {from: team/old-db, to: x}\n'],
    [
      'one image of two repositories',
      '  - {from: other/tool, to: x}\n  - {from: other/*, to: x}\n',
    ],
  ])('two routes that end at one tag: %s', async (_what, routes) => {
    const {code, file, made} = await plan(header + routes);
    expect(code).toBe(3);
    const [conflict, ...others] = forbidden(made);
    expect(others).toEqual([]);
    expect(conflict).toMatchObject({
      code: 'DESTINATION_CONFLICT',
      subject: `${destination.host}/acme/x:v1`,
    });
    expect(conflict?.message).toContain(`(${file}:5:`);
    expect(conflict?.message).toContain(`(${file}:6:`);
  });

  test('two tags that are renamed to one', async () => {
    const {code, made} = await plan(
      `${header}  - from: team/web/api\n    tags: {rename: {'v2(-rc1)?': v2}}\n`,
    );
    expect(code).toBe(3);
    expect(forbidden(made)).toEqual([
      expect.objectContaining({
        code: 'DESTINATION_CONFLICT',
        subject: `${destination.host}/acme/team/web/api:v2`,
      }),
    ]);
  });

  test('a new name that is not a tag', async () => {
    const {code, file, made} = await plan(
      `${header}  - from: team/web/api\n    tags: {rename: {'v2(.*)': '$1'}}\n`,
    );
    expect(code).toBe(3);
    expect(forbidden(made)).toEqual([
      expect.objectContaining({
        code: 'NAME_RESERVED',
        message: expect.stringMatching(
          new RegExp(
            `^${file}:5:5: .*team/web/api:v2 cannot be renamed: "" is not a valid tag, and 1 more`,
          ),
        ),
      }),
    ]);
  });

  test('filters that leave nothing', async () => {
    const {code, file, made} = await plan(`${header}  - from: team/*\n    tags: {include: zzz*}\n`);
    expect(code).toBe(3);
    expect(forbidden(made)).toEqual([
      expect.objectContaining({
        code: 'NOTHING_SELECTED',
        message: expect.stringContaining(`${file}:5:5: `),
      }),
    ]);
  });
});

describe('sources', () => {
  test('that do not list say so, with the line and what to write instead', async () => {
    await using closed = await startSandbox({
      intercept: async ({route}, next) => {
        if (route.kind === 'catalog') throw refusal(401, 'UNAUTHORIZED', 'no catalog');
        return await next();
      },
    });
    const run = await plan(
      `version: 1\nfrom: ${closed.host}\nto: ${destination.host}/a\nroutes:\n  - from: team/*\n`,
    );
    expect([run.code, run.stdout]).toEqual([1, '']);
    expect(run.stderr).toContain(`${run.file}:5:11: `);
    expect(run.stderr).toContain('"code":"REPOSITORIES_NOT_LISTED"');
    expect(run.stderr).toContain('repositories: {file: FILE}');
  });

  test('are listed once, and read once for several destinations', async () => {
    await source.forgetRequests();
    const {made} = await plan(
      `${header}  - from: team/d*\n    to: ['a/{name}', 'b/{name}']\n  - from: team/web/*\n    to: c/{name}\n`,
    );
    expect(made?.routes).toHaveLength(3);
    const targets = (await source.requests()).map(({method, path}) => `${method} ${path}`);
    expect(targets.filter((target) => target.includes('_catalog'))).toHaveLength(1);
    const ofDb = targets.filter((target) => target.includes('/team/db/'));
    expect(ofDb).toEqual([...new Set(ofDb)]);
  });
});
