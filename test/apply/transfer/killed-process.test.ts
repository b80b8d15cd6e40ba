import {expect, test} from 'vitest';
import type {Exchange} from '../../../src/sandbox/exchange.ts';
import {gaps} from '../../../src/sandbox/gitlab/event-log.ts';
import {startRig} from '../../sandbox/gitlab/rig.ts';
import {runCli} from '../../support/cli.ts';
import {layoutDirectory} from '../../support/fixtures.ts';
import {tempDirectory} from '../../support/temp.ts';
import {transship} from '../../support/transship.ts';

const CHART = {layout: layoutDirectory('helm'), ref: '0.1.0'};
const SEED = {
  users: [{name: 'ada'}],
  groups: ['org', 'new_org', 'donors'].map((path) => ({path, members: {ada: 'owner' as const}})),
  projects: [
    {path: 'org/build/app', images: [{...CHART, tag: 'v1'}]},
    {path: 'org/build/lib', images: [{...CHART, tag: 'v1'}]},
    {path: 'donors/parking'},
  ],
  tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
};
const PLAN = 'plan transfer --group org/build --to new_org/ --donor donors/parking --progress none';

/** Where the process is killed: after a request was carried out, before it has the answer. */
const MOMENTS: readonly (readonly [string, (exchange: Exchange) => boolean])[] = [
  ['a tag was deleted', ({method, path}) => method === 'DELETE' && path.includes('/v2/org/')],
  ['the group was moved', ({method, path}) => method === 'POST' && path.endsWith('/transfer')],
];

test.each(
  MOMENTS.flatMap(([moment, isIt]) =>
    (['apply', 'rollback'] as const).map((then) => [moment, then, isIt] as const),
  ),
)(
  'a process that is killed when %s leaves a group for %s to bring to its end',
  async (_, then, isIt) => {
    const kill = new AbortController();
    const armed = {isOn: false};
    await using rig = await startRig({
      mode: 'legacy',
      seed: SEED,
      intercept: async (exchange, next) => {
        const reply = await next();
        if (armed.isOn && isIt(exchange)) kill.abort();
        return reply;
      },
    });
    await using directory = await tempDirectory();
    const plan = directory.join('group.plan.json');
    const run = (args: readonly string[]) =>
      transship(args, {env: {GITLAB_TOKEN: 'ada-api'}, home: directory.path});
    const made = await run([...PLAN.split(' '), '--gitlab', rig.url, '--out', plan]);
    expect(made.code).toBe(0);
    armed.isOn = true;
    const env = {GITLAB_TOKEN: 'ada-api', HOME: directory.path};
    const killed = await runCli(['apply', plan, '--yes'], {env, signal: kill.signal});
    expect(killed.code).toBe(137);
    armed.isOn = false;

    expect((await run([then, plan, '--yes'])).code).toBe(0);
    const verified = await run(['verify', plan]);
    expect(verified.code).toBe(then === 'apply' ? 0 : 2);
    expect(verified.stdout).toContain('2 tags, 2 manifests and 4 blobs are as planned');
    expect(gaps(rig.sandbox.events.events)).toEqual([]);
  },
);
