import {readFileSync} from 'node:fs';
import * as fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {mapRoutes} from '../../../src/plan/migration/map-routes.ts';
import {type CopyMigration, routeFilters} from '../../../src/plan/migration/migration.ts';
import {readMigration} from '../../../src/plan/migration/read-migration.ts';
import {repositoryGlob} from '../../../src/plan/migration/repository-glob.ts';
import {tagRenamer, whyNotRenamePattern} from '../../../src/plan/tag-rename.ts';

function copyMigration(text: string, file = 'm.yaml'): CopyMigration {
  const migration = readMigration(text, file, {HARBOR_HOST: 'harbor.example'});
  if (migration.kind !== 'copy') throw new Error(`${file} is not of kind copy`);
  return migration;
}

const example = (name: string): CopyMigration =>
  copyMigration(readFileSync(new URL(`../../../plans/${name}`, import.meta.url), 'utf8'), name);

const routes = (...lines: readonly string[]): CopyMigration =>
  copyMigration(
    `version: 1\nfrom: a.example\nto: b.example/Acme\nroutes:\n${lines.map((line) => `  - ${line}\n`).join('')}`,
  );

/** `source -> destination` of each mapping, and what is said of them. */
function map(migration: CopyMigration, repositories: readonly string[]) {
  const mapped = mapRoutes(
    migration,
    () => repositories.toSorted(),
    new Date('2026-01-01T00:00:00Z'),
  );
  return {
    ...mapped,
    pairs: mapped.mappings.map(({source, destination}) => `${source} -> ${destination}`),
  };
}

describe('the examples', () => {
  it('flatten many repositories into one project', () => {
    const migration = example('flatten.yaml');
    const found = map(migration, [
      'team/web/api',
      'team/db',
      'team/old-db',
      'team/x/cache',
      'other/a',
    ]);
    expect(found.checks).toEqual([]);
    expect(found.pairs).toEqual([
      'harbor.acme.example/team/db -> registry.gitlab.example.com/acme/images/team-db',
      'harbor.acme.example/team/web/api -> registry.gitlab.example.com/acme/images/team-web-api',
    ]);
    expect(found.mappings.map(({project}) => project)).toEqual(['acme/images', 'acme/images']);
  });

  it('move a prefix, to two places', () => {
    const migration = example('move-prefix.yaml');
    expect(map(migration, ['platform/backend/api', 'other/x'])).toMatchObject({
      checks: [],
      pairs: [
        'harbor.example/platform/backend/api -> registry.gitlab.example.com/acme/services/backend/api',
        'harbor.example/platform/backend/api -> backup.example.com/services/backend/api',
      ],
    });
  });

  it('give each repository its own project', () => {
    const migration = example('project-per-repository.yaml');
    const found = map(migration, ['acme/web', 'acme/internal-x', 'acme/a/b']);
    expect(found.checks).toEqual([]);
    expect(found.pairs).toEqual([
      'docker.io/acme/web -> registry.gitlab.example.com/acme/containers/web',
      'quay.io/acme/operator -> registry.gitlab.example.com/acme/containers/operator',
    ]);
    expect(found.mappings.map(({project}) => project)).toEqual([
      'acme/containers/web',
      'acme/containers/operator',
    ]);
    const [first] = migration.routes;
    expect(first && routeFilters(first, new Date('2026-01-01T00:00:00Z'))).toEqual({
      semver: '>=1.2',
      newerThan: '2025-01-01T00:00:00.000Z',
    });
  });

  it('move projects', () => {
    const text = readFileSync(new URL('../../../plans/transfers.yaml', import.meta.url), 'utf8');
    expect(readMigration(text, 'transfers.yaml')).toMatchObject({
      kind: 'transfer',
      createDonor: true,
      moves: [
        {
          kind: 'project',
          from: 'org/build/sample_project',
          to: 'new_org/build/',
          donor: 'donors/parking',
        },
        {kind: 'group', from: 'org/tools', to: 'new_org/tools', donor: './donor-tools'},
      ],
    });
  });
});

describe('routes', () => {
  it('show a path that had to become lower case', () => {
    expect(map(routes('from: x'), []).checks).toEqual([
      expect.objectContaining({
        code: 'NAME_REWRITTEN',
        result: 'warn',
        message:
          'm.yaml:5:5: a.example/x goes to b.example/acme/x, not to b.example/Acme/x: registries allow lower case only',
      }),
    ]);
  });

  it('leave out what {parent} does not have', () => {
    expect(map(routes('{from: "**", to: "p/{parent}/i-{name}"}'), ['x', 'a/b/c']).pairs).toEqual([
      'a.example/a/b/c -> b.example/acme/p/a/b/i-c',
      'a.example/x -> b.example/acme/p/i-x',
    ]);
  });

  it('find a single name of Docker Hub where docker finds it', () => {
    expect(map(routes('{from: docker.io/nginx, to: "hub/{path}"}'), []).pairs).toEqual([
      'docker.io/library/nginx -> b.example/acme/hub/nginx',
    ]);
  });

  it('that match nothing forbid the plan', () => {
    expect(map(routes('from: x/*', 'from: y/*'), ['y/a']).checks).toContainEqual(
      expect.objectContaining({
        code: 'NOTHING_SELECTED',
        result: 'forbid',
        message: 'm.yaml:5:11: "x/*" matches no repository of a.example',
      }),
    );
  });

  it.each([
    ['not a repository name', 'a-b', '{from: a*, to: "{1}"}', '"acme/-b" is not a repository'],
    ['too long', 'y'.repeat(255), '{from: "y*", to: "{path}"}', 'more than 255 characters'],
    [
      'too deep for the project of the route',
      'x/a/b/c',
      '{from: x/**, to: "p/{1}", project: p}',
      '3 levels below its project',
    ],
    ['outside of the project', 'q', '{from: "?", to: "{1}/a", project: p}', 'is not in acme/p'],
  ])('are refused a destination that is %s', (_what, repository, route, message) => {
    const {checks} = map(routes(route), [repository]);
    expect(checks).toEqual([
      expect.objectContaining({
        code: 'NAME_RESERVED',
        result: 'forbid',
        message: expect.stringMatching(/^m\.yaml:5:\d+: /),
      }),
    ]);
    expect(checks[0]?.message).toContain(message);
  });
});

describe('tags', () => {
  it.each([
    [{'release-(.*)': 'v$1'}, 'release-1.2', 'v1.2'],
    [{'release-(.*)': 'v$1'}, 'my-release-1.2', 'my-release-1.2'],
    [{a: 'b', '.': 'c'}, 'a', 'b'],
    [{'(?<major>\\d+)\\.(\\d+)': '$<major>_$2'}, '1.35', '1_35'],
    [{'.*': 'old-$&'}, 'x', 'old-x'],
    [{'(a)?b': 'c$1'}, 'b', 'c'],
    [{'(alpine|debian)-(\\d+)': '$2-$1'}, 'debian-12', '12-debian'],
  ])('are renamed by %j', (rename, tag, expected) => {
    const renames = Object.entries(rename).map(([pattern, replacement]) => ({
      pattern,
      replacement,
    }));
    expect(renames.map(({pattern}) => whyNotRenamePattern(pattern))).toEqual(
      renames.map(() => undefined),
    );
    expect(tagRenamer(renames)(tag)).toBe(expected);
  });

  it.each([
    '(a*)*',
    '(a|a)*b',
    '(?=a)b',
    '(?<!a)b',
    '(a)\\1',
    '(?<n>a)\\k<n>',
    'a{1000}',
    '.*.*.*.*',
    'a?'.repeat(30),
    '(a|b)'.repeat(30),
  ])('are not renamed by %s, which may take long', (pattern) => {
    expect(whyNotRenamePattern(pattern)).toBeDefined();
  });
});

describe('a glob over repositories', () => {
  it.each<[string, string, readonly string[] | undefined]>([
    ['team/**', 'team/a/b', ['a/b']],
    ['team/**', 'team', undefined],
    ['**/api', 'api', ['']],
    ['**/api', 'a/b/api', ['a/b']],
    ['*/a-?', 'x/a-1', ['x', '1']],
    ['*', 'a/b', undefined],
    ['a/**/b/*', 'a/x/y/b/c', ['x/y', 'c']],
    ['a.c', 'abc', undefined],
  ])('%s, asked about %s', (glob, path, captured) => {
    expect(repositoryGlob(glob).match(path)).toEqual(captured);
  });

  const part = fc.stringMatching(/^[ab]{1,3}$/);
  const paths = fc.array(part, {minLength: 1, maxLength: 4}).map((parts) => parts.join('/'));
  const globPart = fc.oneof(
    fc.stringMatching(/^[ab*?]{1,3}$/).filter((text) => !text.includes('**')),
    fc.constant('**'),
  );

  it('matches as a regular expression of the same meaning does', () => {
    const globs = fc.array(globPart, {minLength: 1, maxLength: 4}).map((parts) => parts.join('/'));
    fc.assert(
      fc.property(globs, paths, (glob, path) => {
        const source = glob
          .replaceAll('**/', '<directories>')
          .replaceAll('**', '<rest>')
          .replaceAll('*', '[^/]*')
          .replaceAll('?', '[^/]')
          .replaceAll('<directories>', '(?:.+/)?')
          .replaceAll('<rest>', '.+');
        expect(repositoryGlob(glob).match(path) !== undefined).toBe(
          new RegExp(`^${source}$`).test(path),
        );
      }),
    );
  });

  it('captures what makes the path again', () => {
    fc.assert(
      fc.property(
        fc.array(
          globPart.filter((text) => text !== '**'),
          {minLength: 1, maxLength: 4},
        ),
        paths,
        (parts, path) => {
          const glob = repositoryGlob(parts.join('/'));
          const captured = [...(glob.match(path) ?? [])];
          fc.pre(glob.match(path) !== undefined);
          expect(glob.source.replaceAll(/[*?]/g, () => captured.shift() ?? '')).toBe(path);
        },
      ),
    );
  });

  it('takes no long time for many wildcards', () => {
    const glob = repositoryGlob(`${'*a'.repeat(100)}b`);
    expect(glob.match('a'.repeat(255))).toBeUndefined();
  });
});
