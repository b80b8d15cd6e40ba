import {describe, expect, it} from 'vitest';
import {TransshipError} from '../../../src/model/error.ts';
import {readMigration} from '../../../src/plan/migration/read-migration.ts';

const VARIABLES = {HARBOR: 'harbor.example', CI_JOB_TOKEN: 'hunter2', EMPTY: ''};

/** `line:column message` of each problem. */
function problemsOf(text: string): readonly string[] {
  try {
    readMigration(text, 'm.yaml', VARIABLES);
    return [];
  } catch (error) {
    if (!(error instanceof TransshipError && error.code === 'MIGRATION_INVALID')) throw error;
    return error.problems.map(({line, column, message}) => `${line}:${column} ${message}`);
  }
}

const HEAD = 'version: 1\nfrom: a.example\nto: b.example\n';
/** The third column of line 5 is where what is inside of the first route begins. */
const route = (...lines: string[]) =>
  `${HEAD}routes:\n  - from: x/*\n${lines.map((line) => `    ${line}\n`).join('')}`;
const file = (...lines: string[]) => `${HEAD}routes: [{from: x}]\n${lines.join('\n')}\n`;

describe('a wrong migration file', () => {
  it.each<[string, string, ...RegExp[]]>([
    ['an empty file', '', /^1:1 null is wrong: expected a map$/],
    ['a list', '- a\n', /^1:1 a list is wrong: expected a map$/],
    ['an open bracket', 'version: 1\nroutes: [\n', /^3:1 it is not YAML/],
    ['a tab', 'version: 1\n\tfrom: x\n', /^2:1 it is not YAML/],
    [
      'a missing version',
      'from: a.example\nto: b.example\nroutes: [{from: x}]',
      /^1:1 "version" is missing: expected 1$/,
    ],
    [
      'another version',
      'version: 2\nfrom: a.example\nto: b.example\nroutes: [{from: x}]',
      /^1:10 2 is wrong: expected 1$/,
    ],
    ['no routes', HEAD, /^1:1 "routes" is missing: expected a list$/],
    ['an empty list of routes', `${HEAD}routes: []`, /^4:9 .*it has no route$/],
    ['a route without from', `${HEAD}routes: [{to: x}]`, /^4:10 "from" is missing/],
    [
      'a misspelt key',
      file('deletesource: never'),
      /^5:1 "deletesource" is not a key here: did you mean "deleteSource"\?/,
    ],
    [
      'a misspelt key of a route',
      route('platform: linux/amd64'),
      /^6:5 "platform" .*did you mean "platforms"\?/,
    ],
    [
      'a misspelt key of tags',
      route('tags: {inculde: [a]}'),
      /^6:12 "inculde" .*did you mean "include"\?/,
    ],
    ['a key twice', route('to: y', 'to: z'), /^7:5 "to" is here twice/],
    [
      'a source without a host',
      'version: 1\nfrom: team\nto: b.example\nroutes: [{from: x}]',
      /^2:7 "team" is wrong: .*host/,
    ],
    [
      'no default source',
      'version: 1\nto: b.example\nroutes:\n  - from: x\n',
      /^4:11 "x" names no registry: .*"from"/,
    ],
    [
      'no default destination',
      'version: 1\nfrom: a.example\nroutes:\n  - from: x\n    to: y\n',
      /^5:9 "y" names no registry: .*"to"/,
    ],
    [
      'a login',
      'version: 1\nfrom: me:hunter2@a.example\nto: b.example\nroutes: [{from: x}]',
      /^2:7 "\*\*\*@a.example" is wrong: it contains credentials/,
    ],
    [
      'stars in a part',
      `${HEAD}routes:\n  - from: a**b`,
      /^5:11 "a\*\*b" is wrong: "\*\*" must be a whole part/,
    ],
    [
      'an unknown placeholder',
      route('to: y/{nam}'),
      /^6:9 "y\/\{nam\}" is wrong: "\{nam\}" is not a placeholder/,
    ],
    [
      'a wildcard that is not there',
      route('to: "y/{2}"'),
      /^6:9 .*\{2\} does not exist, as "from" has 1 wildcards$/,
    ],
    [
      'a tag in a destination',
      route('to: [y, "z:v1"]'),
      /^6:13 "z:v1" is wrong: ":" is not allowed/,
    ],
    ['an empty part', route('to: y//z'), /^6:9 .*empty/],
    ['a number for a tag', route('tags: {include: [1.0]}'), /^6:22 1 is wrong: expected a text/],
    ['an open glob', route("tags: {exclude: 'a['}"), /^6:21 "a\[" is wrong: it is not a glob/],
    [
      'no range',
      route('tags: {semver: newest}'),
      /^6:20 "newest" is wrong: it is not a version range$/,
    ],
    ['a negative number', route('tags: {newest: -1}'), /^6:20 -1 is wrong: expected 1 or more$/],
    ['no age', route('tags: {newerThan: 3 years}'), /^6:23 "3 years" is wrong: it is neither/],
    [
      'no platform',
      route('platforms: [linux/amd64, arm64]'),
      /^6:30 "arm64" is wrong: it is not a platform$/,
    ],
    [
      'a repeated group',
      route("tags: {rename: {'(a+)+': b}}"),
      /^6:21 "\(a\+\)\+" is wrong: a group repeated/,
    ],
    [
      'too many wildcards',
      route("tags: {rename: {'.*.*.*.*.*': b}}"),
      /^6:21 .*too many wildcards/,
    ],
    [
      'no regular expression',
      route("tags: {rename: {'(a': b}}"),
      /^6:21 "\(a" is wrong: it is not a regular expression$/,
    ],
    [
      'a missing group',
      route("tags: {rename: {'(a)': 'b$2'}}"),
      /^6:28 "b\$2" is wrong: "\$2" names a group/,
    ],
    [
      'a slash in a new tag',
      route("tags: {rename: {'(a)': 'b/$1'}}"),
      /^6:28 .*"\/" is not allowed in a tag$/,
    ],
    [
      'a variable that is not set',
      route('to: "y/${NOPE}"'),
      /^6:9 "\$\{NOPE\}" is wrong: the variable is not set$/,
    ],
    ['an empty variable', route('to: "y/${EMPTY}"'), /^6:9 .*not set$/],
    [
      'a secret variable',
      route('to: "y/${CI_JOB_TOKEN}"'),
      /^6:9 "\$\{CI_JOB_TOKEN\}" is wrong: .*secret/,
    ],
    [
      'no choice',
      file('gitlab: {projects: maybe}'),
      /^5:20 "maybe" is wrong: expected "require" or "create"$/,
    ],
    ['prune without a number', file('prune: true'), /^5:8 true is wrong: expected false or a map$/],
    [
      'a list file that is none',
      file('repositories: list.txt'),
      /^5:15 "list.txt" is wrong: expected a map$/,
    ],
    [
      'moves of nothing',
      'version: 1\nkind: transfer\ngitlab: https://g.example\nmoves: [{to: b/}]',
      /^4:9 a move has either "project" or "group"$/,
    ],
    ['a second document', `${file()}---\n${file()}`, /^6:1 the file has more than one document/],
    [
      'one project in two moves',
      'version: 1\nkind: transfer\ngitlab: https://gitlab.example\nmoves:\n  - {project: a/b, to: c/}\n  - {project: A/b, to: d/}\n',
      /^6:15 "A\/b" moves twice$/,
    ],
    [
      'a personal access token in a path',
      file('exclude: ["${CI_PAT}"]'),
      /^5:11 "\$\{CI_PAT\}" is wrong: the variable looks like a secret/,
    ],
    ['an unknown kind', file('kind: sync'), /^5:7 "sync" is wrong: expected "copy" or "transfer"$/],
    [
      'stars without quotes',
      `${HEAD}routes:\n  - from: **\n`,
      /^5:11 "\*\*" needs quotes: YAML reads a text that begins with \* as an alias$/,
    ],
    [
      'a placeholder without quotes',
      route('to: {path}'),
      /^6:9 a map is wrong: .*; a text that begins with \{ needs quotes: "\{path\}"$/,
    ],
    [
      'a path that begins with a placeholder without quotes',
      route('to: {path}/y'),
      /^6:15 it is not YAML: .*; a text that begins with \{ or \[ needs quotes$/,
    ],
    [
      'two unknown placeholders',
      route('to: "{nam}/{pth}"'),
      /^6:9 .*"\{nam\}", "\{pth\}" are not placeholders/,
    ],
    ['a dash at the beginning of a part', route('to: y/-bad'), /^6:9 .*"-bad" is not a part/],
    ['two dots in a part', route('to: a..b'), /^6:9 .*"a\.\.b" is not a part/],
    [
      'a destination outside of its project',
      route('to: q/{1}', 'project: other'),
      /^6:9 "q\/\{1\}" is wrong: it is not in the project "other"$/,
    ],
    [
      'a destination beside its project',
      route('to: other2', 'project: other'),
      /^6:9 "other2" is wrong: it is not in the project "other"$/,
    ],
    [
      'a destination too far below its project',
      route('to: g/p/a/b/c', 'project: g/p'),
      /^6:9 .*is 3 levels below its project, GitLab has 2$/,
    ],
    [
      'a port that is none',
      route('to: b.example:99999/{1}'),
      /^6:9 .*it does not begin with a host/,
    ],
    [
      'one route twice',
      `${HEAD}routes:\n  - from: x\n  - from: y\n  - from: x\n`,
      /^7:5 an earlier route says the same: remove one of them$/,
    ],
    [
      'a route that leaves its only repository out',
      `${HEAD}routes:\n  - from: x/y\n    exclude: [a, 'x/*']\n`,
      /^6:18 "x\/\*" excludes "x\/y", the only repository of the route$/,
    ],
  ])('of the kind: %s', (_what, text, ...expected) => {
    const problems = problemsOf(text);
    expect(problems).toEqual(expected.map((each) => expect.stringMatching(each) as unknown));
  });

  it('has all of its problems listed in their order', () => {
    const text =
      'version: 2\nform: x\nroutes:\n  - from: a**\n    to: ${NOPE}\n    to: y\nprune: {max: 1}\n';
    expect(problemsOf(text).map((each) => each.split(' ')[0])).toEqual([
      '1:10',
      '2:1',
      '4:11',
      '6:5',
      '6:9',
      '7:8',
      '7:9',
    ]);
  });

  it('with 40,000 unknown keys is reported with the first of them', () => {
    const keys = Array.from({length: 40_000}, (_, n) => `k${n}: 1`);
    expect(problemsOf(file(...keys))).toHaveLength(100);
  });

  it('may name variables that only look a little like secrets', () => {
    const text =
      'version: 1\nfrom: h.example/${AUTHOR}\nto: b.example/${COMPASS}\nroutes: [{from: x}]';
    const variables = {AUTHOR: 'ada', COMPASS: 'north'};
    expect(readMigration(text, 'm.yaml', variables)).toMatchObject({
      routes: [{source: {prefix: 'ada'}, to: [{root: {prefix: 'north'}}]}],
    });
  });

  it('does not show what a variable contains', () => {
    const text = 'version: 1\nfrom: "${PLACE}"\nto: b.example\nroutes: [{from: x}]';
    expect(() => readMigration(text, 'm.yaml', {PLACE: 'u:hunter2@h.example'})).toThrow(
      expect.objectContaining({
        problems: [expect.objectContaining({message: expect.not.stringContaining('hunter2')})],
      }),
    );
  });
});

describe('hostile YAML', () => {
  const laughs = [
    'a: &a [x]',
    ...'bcdefghij'.split('').map((name, index) => {
      const before = 'abcdefghij'[index];
      return `${name}: &${name} [${Array.from({length: 9}, () => `*${before}`).join(', ')}]`;
    }),
  ].join('\n');
  it.each([
    ['nested aliases', laughs],
    ['many aliases', `a: &a [x]\nb: [${'*a,'.repeat(200_000)}]`],
    ['maps in a list', `a: [${'{a},'.repeat(50_000)}]`],
    ['an alias of itself', 'a: &a [*a]'],
    ['brackets', `a: ${'['.repeat(500_000)}`],
    ['dashes', '- '.repeat(200_000)],
    ['a large file', `a: ${'x'.repeat(2_000_000)}`],
    ['many values', `a: [${'1,'.repeat(200_000)}]`],
    ['a tag', 'a: !!js/function "x"'],
    ['two documents', 'a: 1\n---\nb: 2'],
    ['a key that is a list', '? [a]\n: 1'],
    ['a prototype', '__proto__: {version: 1}'],
    ['a merge', 'a: &a {version: 1}\n<<: *a'],
  ])('is refused: %s', (_what, text) => {
    expect(problemsOf(text).length).toBeGreaterThan(0);
  });
});

describe('a migration file', () => {
  it('puts variables into hosts and paths only, and merges defaults into routes', () => {
    const migration = readMigration(
      'version: 1\nfrom: ${HARBOR}/team\nto: B.example:5000\ntags: {include: v*, newest: 3}\nroutes:\n  - from: "*"\n    tags: {include: [a]}\n  - from: docker.io/nginx\n    to: mirror/{path}\n',
      'm.yaml',
      VARIABLES,
    );
    expect(migration).toMatchObject({
      routes: [
        {
          at: {line: 6, column: 5},
          source: {registry: 'harbor.example', prefix: 'team'},
          to: [{text: '{path}', root: {registry: 'b.example:5000', prefix: ''}}],
          tags: {include: ['a'], newest: 3},
        },
        {source: {registry: 'docker.io', prefix: ''}, tags: {include: ['v*'], newest: 3}},
      ],
      deleteSource: 'never',
      prune: false,
    });
  });
});
