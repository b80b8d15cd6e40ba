import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';
import {type WantedRoute, type CopyWish, readCopyWish} from '../../src/library/copy-wish.ts';
import {makePlan, type PlanRepositories} from '../../src/library/make-plan.ts';
import {HttpClient} from '../../src/http/client.ts';
import {copiesOf, type CopyPlan, type WishFilters} from '../../src/model/plan.ts';
import {parseReference, type RepositoryPath} from '../../src/model/reference.ts';
import {parsePlan, serializePlan} from '../../src/plan/plan-file.ts';
import {Registry} from '../../src/registry/registry.ts';
import {loadLayout} from '../../src/sandbox/load-layout.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {NEVER} from '../support/streams.ts';

const corpus = await readCorpus();
const cleanup = new AsyncDisposableStack();
let http: HttpClient;
let source: Sandbox;
let destination: Sandbox;
let count = 0;
let repository: RepositoryPath;

beforeAll(async () => {
  http = cleanup.use(new HttpClient());
  source = cleanup.use(await startSandbox());
  destination = cleanup.use(await startSandbox());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(async () => {
  repository = `test/r${++count}` as RepositoryPath;
  await loadLayout(source.storage, layoutDirectory('layered'), repository);
  source.log.clear();
});

/** What several lines of `copy` ask for, in one wish. */
function wishOf(...lines: readonly (readonly [from: string, to: string, filters?: WishFilters])[]) {
  const read = lines.map(([from, to, filters = {}]) =>
    readCopyWish({
      source: `${source.host}/${from}`,
      destination: `${destination.host}/${to}`,
      filters,
    }),
  );
  return {
    wish: {routes: read.flatMap(({wish}) => wish.routes)},
    routes: read.flatMap(({routes}, wish) =>
      routes.map((route): WantedRoute => ({...route, wish})),
    ),
  } satisfies CopyWish;
}

const repositories: PlanRepositories = {
  hasDatabase: () => Promise.resolve(false),
  source: (name) => open(name, 'source'),
  destination: (name) => open(name, 'destination'),
  writable: open,
};

function open(name: string, side: 'source' | 'destination') {
  const {registry: host, path} = parseReference(name);
  return new Registry({host, side, http}).repository(path);
}

async function planned(wish: CopyWish): Promise<CopyPlan> {
  const {plan} = await makePlan(wish, repositories, () => undefined, {signal: NEVER});
  expect(parsePlan(serializePlan(plan), 'plan.json')).toEqual(plan);
  return plan;
}

const tags = Object.keys(corpus.layered.tags).sort();
const [first = '', second = ''] = tags;

test('several routes are one plan, each with its own filters', async () => {
  const other = `${repository}-other` as RepositoryPath;
  await loadLayout(source.storage, layoutDirectory('busybox'), other);
  const plan = await planned(
    wishOf(
      [repository, 'a', {tags: [first]}],
      [repository, 'b', {excludeTags: [first]}],
      [other, 'c'],
    ),
  );
  const tagsAt = (path: string) =>
    copiesOf(plan)
      .flatMap(({to, tag = ''}) => (to.endsWith(`/${path}`) ? [String(tag)] : []))
      .sort();
  expect(tagsAt('a')).toEqual([first]);
  expect(tagsAt('b')).toEqual(tags.slice(1));
  expect(tagsAt('c')).toEqual(Object.keys(corpus.busybox.tags).sort());
  expect(plan.routes.map(({wish}) => wish)).toEqual([0, 1, 2]);
  expect(new Set(plan.steps.map(({id}) => id)).size).toBe(plan.steps.length);
});

test('a source with several destinations is read once', async () => {
  await planned(wishOf([repository, 'x/a'], [repository, 'x/b'], [repository, 'x/c']));
  const asked = source.log.entries.map(({method, path}) => `${method} ${path}`);
  const again = asked.filter((one, at) => asked.indexOf(one) !== at && one.includes(repository));
  expect(again).toEqual([]);
  expect(asked.filter((one) => one.includes('/manifests/')).length).toBeGreaterThan(0);
});

test('two routes that want one tag for different images forbid the plan, each named', async () => {
  const wish = wishOf([`${repository}:${first}`, 'y/a:v1'], [`${repository}:${second}`, 'y/a:v1']);
  const at = {file: 'plans/acme.yaml', line: 12, column: 5};
  const [one, two] = wish.wish.routes;
  const named = {
    ...wish,
    wish: {
      routes: [one, two].flatMap((route, line) =>
        route ? [{...route, at: {...at, line: at.line + line}}] : [],
      ),
    },
  };
  for (const [asked, origins] of [
    [wish, ['(route 1)', '(route 2)']],
    [named, ['(plans/acme.yaml:12:5)', '(plans/acme.yaml:13:5)']],
  ] as const) {
    const {checks} = await planned(asked);
    const conflict = checks.find(({code}) => code === 'DESTINATION_CONFLICT');
    expect(conflict).toMatchObject({result: 'forbid', subject: `${destination.host}/y/a:v1`});
    for (const origin of origins) expect(conflict?.message).toContain(origin);
  }
});

test('a route of which nothing is left forbids the plan, whatever the others bring', async () => {
  const plan = await planned(
    wishOf([repository, 'z/a'], [repository, 'z/b', {tags: ['no-such-*']}]),
  );
  expect(plan.checks.filter(({result}) => result === 'forbid')).toMatchObject([
    {code: 'NOTHING_SELECTED', subject: `${source.host}/${repository}`},
  ]);
});
