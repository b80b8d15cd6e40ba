import type {TransferPlan} from '../../src/model/transfer-plan.ts';
import type {SeedInput} from '../../src/sandbox/gitlab/seed.ts';
import {layoutDirectory} from './fixtures.ts';
import {transship} from './transship.ts';

type SeedProject = NonNullable<SeedInput['projects']>[number];

/** An owner of two groups, a project of `org` with two repositories, and a place for donors. */
export function transferSeed(
  changes: Partial<SeedProject> = {},
  others: readonly SeedProject[] = [],
): SeedInput {
  return {
    users: [{name: 'root', admin: true}, {name: 'ada'}, {name: 'dev'}],
    groups: [
      {path: 'org/build', members: {ada: 'owner', dev: 'maintainer'}},
      {path: 'org/other', members: {ada: 'owner'}},
      {path: 'new_org/build', members: {ada: 'owner', dev: 'owner'}},
      {path: 'donors', members: {ada: 'maintainer', dev: 'developer'}},
    ],
    projects: [
      {
        path: 'org/build/app',
        images: [
          {layout: layoutDirectory('busybox'), tag: 'v1'},
          {name: 'tools/lint', layout: layoutDirectory('signed')},
        ],
        ...changes,
      },
      {path: 'donors/parking'},
      ...others,
    ],
    tokens: [
      {value: 'root-api', user: 'root', scopes: ['api']},
      {value: 'ada-api', user: 'ada', scopes: ['api']},
      {value: 'ada-read', user: 'ada', scopes: ['read_api', 'read_registry']},
      {value: 'ada-registry', user: 'ada', scopes: ['read_registry', 'write_registry']},
      {value: 'dev-api', user: 'dev', scopes: ['api']},
      {value: 'app-job', kind: 'job', user: 'ada', project: 'org/build/app'},
    ],
  };
}

export interface PlanTransferOptions {
  readonly to?: string;
  readonly token?: string;
  readonly args?: readonly string[];
  /** Besides the token. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs `plan transfer` of `org/build/app` on the command line, and reads the plan that it prints. */
export async function planTransfer(
  url: string,
  {
    to = 'new_org/build/',
    token = 'ada-api',
    args = ['--donor', 'donors/parking'],
    env = {},
  }: PlanTransferOptions = {},
) {
  const {code, stdout, stderr} = await transship(
    [
      'plan',
      'transfer',
      'org/build/app',
      '--to',
      to,
      '--gitlab',
      url,
      '--format',
      'json',
      '--progress',
      'none',
      ...args,
    ],
    {
      env: {
        ...env,
        ...(token.endsWith('-job')
          ? {CI_JOB_TOKEN: token, CI_SERVER_URL: url}
          : {GITLAB_TOKEN: token}),
      },
    },
  );
  const printed = stdout === '' ? undefined : (JSON.parse(stdout) as TransferPlan);
  const [move] = printed?.moves ?? [];
  const plan = printed && move && {...move, ...printed};
  const checks = plan?.checks ?? [];
  return {
    code,
    stderr,
    plan,
    steps: plan?.steps.map(({id}) => id) ?? [],
    forbidden: checks.filter(({result}) => result === 'forbid').map((check) => check.code),
    warned: checks.filter(({result}) => result === 'warn').map((check) => check.code),
    proved: checks.filter(({result}) => result === 'pass').map((check) => check.code),
  };
}
