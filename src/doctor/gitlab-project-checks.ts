import type {ContainerRepository} from '../gitlab/container-repositories.ts';
import {ACCESS_LEVEL, type Project} from '../gitlab/entities.ts';
import type {GitLab} from '../gitlab/gitlab.ts';
import {TransshipError} from '../model/error.ts';
import {whyNotImages} from '../model/gitlab-naming.ts';
import type {Call} from '../model/port.ts';
import {failed, type Finding, passed, warned} from './examination.ts';

/**
 * Repositories that GitLab moves with a project at most: 1,000, since some version of 2026 2,000 (GitLab container
 * registry: CHANGELOG.md, "sub repositories"). Those being deleted count as well.
 */
const MOVABLE = 1000;

/**
 * GitLab without metadata database deletes more tags than these with a token that expires meanwhile (GitLab:
 * doc/user/packages/container_registry/reduce_container_registry_storage.md).
 */
const TAGS_OF_ONE_TOKEN = 1000;

/** Checks of one project; nothing is changed. */
export async function checkProject(
  gitlab: GitLab,
  project: Project,
  call: Call,
): Promise<{
  readonly findings: readonly Finding[];
  readonly records: readonly ContainerRepository[];
}> {
  const findings = [...accessFindings(project), ...policyFindings(project)];
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
  if (project.registryAccess === 'disabled') return {findings, records: []};
  const records = await gitlab.repositories.ofProject(project.id, call);
  findings.push(...repositoryFindings(records));
  const emptyNamed = await findEmptyNames(gitlab, records, call);
  return {findings: [...findings, ...emptyNamed], records};
}

/** Who may do what with the images of the project. */
function accessFindings(project: Project): readonly Finding[] {
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
          `the container registry of ${fullPath} is ${registryAccess ?? 'not shown to this token'}${pulledBy(project)}`,
        ),
  );
  const badName = whyNotImages(fullPath);
  if (badName !== undefined)
    findings.push(
      failed(
        'names',
        `images of ${fullPath} can be neither pushed nor pulled: ${badName}`,
        'change the path of the group or the project',
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
        'the owner of the token is not a Maintainer: rules and policies are not shown',
        'use a token of a Maintainer',
      ),
    );
  return findings;
}

/** GitLab: doc/user/packages/container_registry/_index.md, "Container registry visibility permissions". */
function pulledBy({registryAccess, visibility}: Project): string {
  if (registryAccess === undefined || visibility === undefined) return '';
  if (registryAccess === 'private' || visibility === 'private')
    return ': members with the Reporter role or higher can pull';
  return visibility === 'public' ? ': everybody can pull' : ': everybody with a login can pull';
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
  const many = records.filter(({tagsCount = 0}) => tagsCount > TAGS_OF_ONE_TOKEN).slice(0, 20);
  const stuck = records.filter(({status}) => status === 'delete_failed');
  const going = records.filter(({status}) => status !== undefined && status !== 'delete_failed');
  return [
    passed('repositories', `repositories: ${records.length}, tags: ${tags}`),
    ...(tags === 0
      ? []
      : [
          passed(
            'transfer',
            'GitLab does not rename or transfer a project with tags, unless its registry moves them itself: plan transfer moves both',
          ),
        ]),
    ...(many.length === 0
      ? []
      : [
          warned(
            'cleanup',
            `${many.map(({path}) => path).join(', ')}: more than ${TAGS_OF_ONE_TOKEN} tags, which cleanup policies do not get through without metadata database (invalid token)`,
            'delete tag by tag: transship plan delete; or raise the life of tokens',
          ),
        ]),
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
          `${found.join(', ')} have a tag without a name, which cannot be deleted`,
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
