import type {GitLab} from '../gitlab/gitlab.ts';
import {ACCESS_LEVEL, type Project} from '../gitlab/entities.ts';
import type {ContainerRepository} from '../gitlab/container-repositories.ts';
import {TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';
import {attempted, failed, type Finding, passed, warned} from './examination.ts';

/** Within so many days somebody has to renew a token. */
const SOON_DAYS = 7;
const DAY_MS = 86_400_000;

/**
 * Repositories that GitLab moves with a project at most: 1,000, since some version of 2026 2,000 (GitLab container registry:
 * CHANGELOG.md, "sub repositories"). Those being deleted count as well.
 */
const MOVABLE = 1000;

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
  const own = await attempted('project', signal, async () => {
    const found = await gitlab.projects.get(project, call);
    const {findings, records} = await checkProject(gitlab, found, call);
    const first = records.find(({tagsCount = 0, status}) => tagsCount > 0 && status === undefined);
    repository = first && `${first.registryHost}/${first.path}`;
    return findings;
  });
  return {findings: [...instance, ...own], ...(repository === undefined ? {} : {repository})};
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

async function checkProject(
  gitlab: GitLab,
  project: Project,
  call: Call,
): Promise<{
  readonly findings: readonly Finding[];
  readonly records: readonly ContainerRepository[];
}> {
  const {fullPath, registryAccess, archived, deletionDate, accessLevel} = project;
  const findings: Finding[] = [];
  findings.push(
    registryAccess === 'disabled'
      ? failed(
          'registry',
          `the container registry of ${fullPath} is disabled`,
          'enable it in Settings > General > Visibility',
        )
      : passed(
          'registry',
          `the container registry of ${fullPath} is ${registryAccess ?? 'not shown to this token'}`,
        ),
  );
  if (archived)
    findings.push(
      warned(
        'project',
        `${fullPath} is archived: nothing can be pushed or transferred`,
        'unarchive it',
      ),
    );
  if (deletionDate !== undefined)
    findings.push(
      failed('project', `${fullPath} is to be deleted (${deletionDate})`, 'restore it'),
    );
  if (accessLevel > 0 && accessLevel < ACCESS_LEVEL.maintainer)
    findings.push(
      warned(
        'role',
        'the owner of the token is no Maintainer: rules and policies are not shown',
        'use a token of a Maintainer',
      ),
    );
  findings.push(...policyFindings(project));
  const rules = await orHidden(gitlab.protection.ofTags(project.id, call));
  const paths = await orHidden(gitlab.protection.ofRepositories(project.id, call));
  findings.push(
    rules === undefined
      ? passed('protection', 'this GitLab, or this token, does not show rules for tags')
      : passed(
          'protection',
          `rules for tags: ${rules.length}, for repositories: ${paths?.length ?? 0}`,
        ),
  );
  if (registryAccess === 'disabled') return {findings, records: []};
  const records = await gitlab.repositories.ofProject(project.id, call);
  findings.push(...repositoryFindings(records));
  const emptyNamed = await findEmptyNames(gitlab, records, call);
  return {findings: [...findings, ...emptyNamed], records};
}

function policyFindings({cleanupPolicy, fullPath}: Project): readonly Finding[] {
  if (cleanupPolicy === undefined) return [];
  const {enabled, name_regex: regex = '', keep_n: keep, older_than: age} = cleanupPolicy;
  if (!enabled) return [passed('cleanup', 'the cleanup policy is disabled')];
  const rules = `deletes what matches ${JSON.stringify(regex)}, keeps ${keep ?? 'none'} of the newest, and what is younger than ${age ?? 'any age'}`;
  return [
    warned(
      'cleanup',
      `the cleanup policy ${rules}`,
      `see what it would delete: transship plan delete --gitlab-policy ${fullPath}`,
    ),
  ];
}

function repositoryFindings(records: readonly ContainerRepository[]): readonly Finding[] {
  const tags = records.reduce((sum, {tagsCount = 0}) => sum + tagsCount, 0);
  const stuck = records.filter(({status}) => status === 'delete_failed');
  const going = records.filter(({status}) => status !== undefined && status !== 'delete_failed');
  return [
    passed('repositories', `repositories: ${records.length}, tags: ${tags}`),
    ...(records.length > MOVABLE
      ? [
          warned(
            'repositories',
            `GitLab moves at most ${MOVABLE} repositories with a project`,
            'plan transfer moves them by way of a donor',
          ),
        ]
      : []),
    ...(going.length === 0
      ? []
      : [
          warned(
            'repositories',
            `repositories that are being deleted: ${going.length}`,
            'GitLab does that in the background; wait before a transfer',
          ),
        ]),
    ...(stuck.length === 0
      ? []
      : [
          failed(
            'repositories',
            `GitLab failed to delete ${stuck.map(({path}) => path).join(', ')}`,
            'its storage may not delete (S3: s3:DeleteObject)',
          ),
        ]),
  ];
}

/** Of the first repositories: a stray object in the storage shows as a tag without a name (container-registry#341). */
async function findEmptyNames(
  gitlab: GitLab,
  records: readonly ContainerRepository[],
  call: Call,
): Promise<readonly Finding[]> {
  const few = records.filter(({tagsCount = 0}) => tagsCount > 0).slice(0, 20);
  const found: string[] = [];
  for (const record of few)
    if ((await gitlab.repositories.tags(record, call)).includes('')) found.push(record.path);
  return found.length === 0
    ? []
    : [
        failed(
          'tag-names',
          `${found.join(', ')} have a tag without a name, which nobody can delete`,
          'an administrator has to remove the stray object from the storage (aws s3 rm)',
        ),
      ];
}

/** Undefined where the token may not see it. */
async function orHidden<T>(request: Promise<T | undefined>): Promise<T | undefined> {
  return await request.catch((error: unknown) => {
    if (error instanceof TransshipError && error.status === 403) return undefined;
    throw error;
  });
}
