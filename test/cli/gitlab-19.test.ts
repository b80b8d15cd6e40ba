import {expect, test} from 'vitest';
import type {RegistryMode} from '../../src/sandbox/gitlab/instance.ts';
import {type Exchange, jsonReply} from '../../src/sandbox/exchange.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {transferSeed} from '../support/plan-transfer.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

/* What changed in GitLab 18.7 to 19.5, and a transfer has to cope with. */

const OLD = 'org/build/app';
const NEW = 'new_org/build/app';

const PLAN = `plan transfer ${OLD} --to new_org/build/ --donor donors/parking --progress plain`;

interface Options {
  readonly mode?: RegistryMode;
  readonly token?: string;
  readonly rules?: readonly {readonly pattern: string; readonly push: 'maintainer'}[];
  readonly refuse?: (exchange: Exchange) => boolean;
}

/** A GitLab with a project, and the command line. */
async function start({mode = 'metadata-db', token = 'ada-api', rules, refuse}: Options) {
  await using parts = new AsyncDisposableStack();
  const seed = transferSeed(
    rules === undefined ? {} : {rules: {repositories: [...rules], tags: []}},
  );
  const rig = parts.use(
    await startRig({
      mode,
      seed: {
        ...seed,
        tokens: [...(seed.tokens ?? []), {value: 'ada-fine', user: 'ada', scopes: ['granular']}],
      },
      intercept: async (exchange, next) =>
        refuse?.(exchange) === true ? jsonReply(500, {message: '500'}) : await next(),
    }),
  );
  const directory = parts.use(await tempDirectory());
  const plan = directory.join('move.plan.json');
  const run = (...args: readonly string[]) => transship(args, {env: {GITLAB_TOKEN: token}});
  const own = parts.move();
  return {
    rig,
    plan,
    run,
    make: () => run(...PLAN.split(' '), '--gitlab', rig.url, '--out', plan),
    patterns: async () => {
      const {json: projects} = await rig.api('GET', 'projects?search=app');
      const [project] = projects as {id: number}[];
      const {json} = await rig.api(
        'GET',
        `projects/${project?.id}/registry/protection/repository/rules`,
      );
      return (json as {repository_path_pattern: string}[]).map(
        (rule) => rule.repository_path_pattern,
      );
    },
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  };
}

test('a fine-grained token, which cannot push, is refused before anything is touched', async () => {
  await using at = await start({token: 'ada-fine'});
  const {length} = at.rig.sandbox.events.events;
  const made = await at.make();
  expect(made.code).toBe(3);
  expect(made.stdout).toContain('the token is fine-grained');
  expect(made.stdout).toContain('create a legacy token with the api scope');
  expect(at.rig.sandbox.events.events).toHaveLength(length);
});

test('a database whose API fails costs the dates of tags, and not the transfer', async () => {
  await using at = await start({refuse: ({path}) => path.startsWith('/gitlab/v1/')});
  const made = await at.make();
  expect(made.code).toBe(0);
  expect(made.stderr).toContain('not using the API of the metadata database');
  expect((await at.run('apply', at.plan, '--yes')).code).toBe(0);
  expect((await at.run('verify', at.plan)).code).toBe(0);
});

test('protection rules that name the old path get the new one, and the old one on the way back', async () => {
  const rules = [
    {pattern: OLD, push: 'maintainer'},
    {pattern: `${OLD}/tools/*`, push: 'maintainer'},
    {pattern: `${OLD}2`, push: 'maintainer'},
  ] as const;
  await using at = await start({rules});
  const before = await at.patterns();
  const made = await at.make();
  expect(made.stdout).toMatch(/RULE_MOVES/);
  expect((await at.run('apply', at.plan, '--yes')).code).toBe(0);
  expect(await at.patterns()).toEqual([NEW, `${NEW}/tools/*`, `${OLD}2`]);
  expect((await at.run('rollback', at.plan, '--yes')).code).toBe(0);
  expect(await at.patterns()).toEqual(before);
});
