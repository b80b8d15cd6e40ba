import type {GitLab} from '../gitlab/gitlab.ts';
import type {Call} from '../model/port.ts';
import {attempted, type Finding, passed, warned} from './examination.ts';
import {checkProject} from './gitlab-project-checks.ts';

/** Within so many days somebody has to renew a token. */
const SOON_DAYS = 7;
const DAY_MS = 86_400_000;

/** Faults of GitLab by its version (gitlab#600955, container-registry#2309, gitlab#600486). */
const FAULTS: readonly {
  readonly version: RegExp;
  readonly finding: string;
  readonly hint: string;
}[] = [
  {
    version: /^19\.0\.[01](?:\D|$)/,
    finding:
      'GitLab 19.0.0 and 19.0.1 answer 500 at /gitlab/v1/ of the registry, and leave OCI indexes out of Geo',
    hint: 'update to 19.0.2 or later',
  },
  {
    version: /^19\.[01]\./,
    finding: 'GitLab 19.0 and 19.1 fail at the end of uploads on some S3-compatible storages',
    hint: 'update to 19.2 or later',
  },
  {
    version: /^(?:[1-9]|1[0-6])\./,
    finding: 'this GitLab is older than 17: protection rules and paging by keyset are missing',
    hint: 'update GitLab',
  },
];

/** What is found out about a project besides what its registry says. */
export interface GitLabExamination {
  readonly findings: readonly Finding[];
  /** A repository of the project, `host/path`, to look at in the registry; undefined: there is none. */
  readonly repository?: string;
  /** The host of the registry of the project; undefined: GitLab does not tell. */
  readonly registryHost?: string;
}

/** The token, the version, and a project with its registry. Nothing is changed. */
export async function checkGitLab(
  gitlab: GitLab,
  project: string | undefined,
  now: Date,
  call: Call,
): Promise<GitLabExamination> {
  const {signal} = call;
  const instance = [
    ...(await attempted('gitlab-version', signal, () => checkVersion(gitlab, call))),
    ...(await attempted('gitlab-token', signal, () => checkToken(gitlab, now, call))),
  ];
  if (project === undefined) return {findings: instance};
  let repository: string | undefined;
  let registryHost: string | undefined;
  const own = await attempted('project', signal, async () => {
    const found = await gitlab.projects.get(project, call);
    registryHost = found.registryAccess === 'disabled' ? undefined : found.registryHost;
    const {findings, records} = await checkProject(gitlab, found, call);
    const first = records.find(({tagsCount = 0, status}) => tagsCount > 0 && status === undefined);
    repository = first && `${first.registryHost}/${first.path}`;
    return findings;
  });
  return {
    findings: [...instance, ...own],
    ...(repository === undefined ? {} : {repository}),
    ...(registryHost === undefined ? {} : {registryHost}),
  };
}

async function checkVersion(gitlab: GitLab, call: Call): Promise<readonly Finding[]> {
  const version = await gitlab.account.version(call);
  const faults = FAULTS.filter(({version: pattern}) => pattern.test(version));
  return [
    passed('gitlab-version', `GitLab ${version}`),
    ...faults.map(({finding, hint}) => warned('gitlab-version', finding, hint)),
  ];
}

async function checkToken(gitlab: GitLab, now: Date, call: Call): Promise<readonly Finding[]> {
  const token = await gitlab.account.token(call);
  if (token === undefined)
    return [
      passed('gitlab-token', 'the token is that of a CI job: it writes to its own project alone'),
    ];
  const {scopes, expiresOn} = token;
  const what = `scopes ${scopes.join(', ')}`;
  const days =
    expiresOn === undefined ? Infinity : (Date.parse(expiresOn) - now.getTime()) / DAY_MS;
  // GitLab: doc/auth/tokens/fine_grained_access_tokens_other.md: they can read and delete images, and not push any.
  const kind = scopes.includes('granular')
    ? warned(
        'gitlab-token',
        'a fine-grained token: it can delete images and not push any',
        'use a token with the scope api, or log in to the registry with another one',
      )
    : scopes.includes('api') ||
        (scopes.includes('read_registry') && scopes.includes('write_registry'))
      ? passed('gitlab-token', what)
      : warned(
          'gitlab-token',
          `${what}: it cannot push`,
          'a push needs api, or read_registry and write_registry; deletion and transfers need api',
        );
  return days < SOON_DAYS
    ? [
        kind,
        warned('gitlab-token', `it expires on ${expiresOn ?? ''}`, 'renew it before a long run'),
      ]
    : [kind];
}
