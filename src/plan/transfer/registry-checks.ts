import type {Check} from '../../model/plan.ts';
import {forbid, forbidProblem, pass, warn} from './make-check.ts';
import type {RegistryFacts, RepositoryFacts, TransferFacts} from './facts.ts';
import type {CopySet} from '../../model/transfer-plan.ts';
import type {TransferCopies} from './project-move.ts';
import {hasContent} from './steps.ts';

/** The leeway for token times in GitLab's registry, in ms (GitLab container registry: auth/token, `Leeway`). */
const SKEW_LIMIT_MS = 60_000;

/** Whether the registry supports what the plan needs. */
export function registryChecks({registry, project, donor}: TransferFacts): readonly Check[] {
  if (registry === undefined) return [];
  const probed = donor.probe !== undefined;
  return [
    ...grantChecks(registry, project.fullPath),
    ...writeChecks(registry),
    ...deleteChecks(registry, probed),
    ...clockChecks(registry),
  ];
}

function grantChecks({host, version, missingActions}: RegistryFacts, project: string): Check[] {
  const subject = `${host} ${project}`;
  if (missingActions === undefined) {
    return [
      warn(
        'REGISTRY_READY',
        subject,
        `the registry at ${host} does not report the permissions of the token`,
        'make sure that the token may pull, push and delete there',
      ),
    ];
  }
  if (missingActions.length > 0) {
    return [
      forbid(
        'TOKEN_SCOPE_MISSING',
        subject,
        `the registry does not let this token ${missingActions.join(', ')} images of ${project}`,
        'use a token with the scope api, of a maintainer of the project, and no other login for the registry',
      ),
    ];
  }
  const name = version === undefined ? host : `${host} (${version})`;
  return [
    pass(
      'REGISTRY_READY',
      subject,
      `${name} lets this token pull, push and delete images of ${project}`,
    ),
  ];
}

/** With a directory as donor everything has to be pushed again, which is tried with the images at the old path. */
function writeChecks({host, writes}: RegistryFacts): readonly Check[] {
  if (writes === undefined) return [];
  if (writes !== 'taken') return writes.map((finding) => forbidProblem(host, finding));
  return [
    pass(
      'UPLOAD_READY',
      host,
      'the registry accepts uploads, and all types of manifests that the project has',
    ),
  ];
}

function deleteChecks({host, deletion, deletesTags}: RegistryFacts, isProbed: boolean): Check[] {
  if (typeof deletion === 'object') return [forbidProblem(host, deletion)];
  if (!deletesTags) {
    return [
      warn(
        'DELETE_UNPROVED',
        host,
        'the registry does not announce that it can delete single tags; they are deleted through GitLab instead',
        'tags that share a digest may be deleted together; they are all at the donor by then',
      ),
    ];
  }
  // If permission to try is missing, `grantChecks` reports it.
  if (isProbed || deletion === undefined) return [];
  return [
    pass(
      'DELETE_READY',
      host,
      'the registry accepts deletions: it is not read-only, and deletion is enabled',
    ),
  ];
}

function clockChecks({host, aheadOfGitLabMs = 0, gitlabAheadMs = 0}: RegistryFacts): Check[] {
  const seconds = Math.round(Math.abs(aheadOfGitLabMs) / 1000);
  const hint = 'synchronise the clocks of both with NTP';
  const message = `the clocks of GitLab and of ${host} are ${seconds} s apart`;
  if (Math.abs(aheadOfGitLabMs) > SKEW_LIMIT_MS) {
    return [forbid('CLOCK_SKEW', host, `${message}: the registry refuses GitLab's tokens`, hint)];
  }
  if (Math.abs(aheadOfGitLabMs) > SKEW_LIMIT_MS / 2)
    return [warn('CLOCK_SKEW', host, message, hint)];
  if (Math.abs(gitlabAheadMs) <= SKEW_LIMIT_MS) return [];
  return [
    warn(
      'CLOCK_SKEW',
      'this machine',
      `the clocks of this machine and of GitLab are ${Math.round(Math.abs(gitlabAheadMs) / 1000)} s apart`,
      'synchronise it with NTP; certificates and dates are checked against it',
    ),
  ];
}

/**
 * Whether all content of the old path gets to the new one. Content that cannot be moved forbids the plan: deleting it
 * would lose it, and without its deletion the project cannot be moved.
 */
export function imageChecks(
  {repositories, registry}: TransferFacts,
  {skipped, checks, push}: TransferCopies,
): readonly Check[] {
  // Whether the registry was tried with these manifests, so that warnings about what it may refuse are unnecessary.
  const isProved = registry?.writes !== undefined;
  const named = repositories.flatMap(({source: {repository, notRead}}) => {
    const bad = notRead.flatMap(({reason, tag}) =>
      reason === 'invalid-name' && tag !== undefined ? [tag] : [],
    );
    return bad.length === 0 ? [] : [badTagNames(repository, bad)];
  });
  const lost = new Set(
    skipped.flatMap(({from, reason}) => (reason === 'invalid-name' ? [] : [from])),
  );
  return [
    ...named,
    // `badTagNames` reports invalid names.
    ...checks
      .filter(({code}) => code !== 'SKIPPED')
      .map((check): Check => ({...check, result: 'forbid', hint: hintOf(check)})),
    ...repositories.flatMap((repository) => [...repositoryChecks(repository, isProved)]),
    ...(isProved ? [] : foreignLayerChecks(push)),
    ...(lost.size === 0 && repositories.some(hasContent) ? [untagged(registry?.host ?? '')] : []),
  ];
}

/** A transfer moves whole repositories, so hints about filters do not apply. */
function hintOf({code, subject, hint}: Check): string {
  switch (code) {
    case 'SOURCE_INCOMPLETE':
      return `push the image again; or remove the missing parts from the tag: transship copy --platform OS/ARCH ${subject} ${subject}; or delete the tag; then plan again`;
    case 'MANIFEST_NOT_FOUND':
      return 'push the image again, or delete the tag in GitLab, then plan again';
    case 'SCHEMA1_UNSUPPORTED':
      return 'pull it with an old docker and push it again, or delete the tag, then plan again';
    default:
      return hint;
  }
}

function badTagNames(repository: string, tags: readonly string[]): Check {
  const names = tags.map((tag) => `"${tag}"`).join(', ');
  return forbid(
    'TAG_NAME_INVALID',
    repository,
    `${repository} has tags that no client can pull or delete: ${names}`,
    'an administrator must remove them from the storage of the registry; GitLab counts them as tags',
  );
}

function* repositoryChecks(facts: RepositoryFacts, isProved: boolean) {
  const {from, to, deletion, whyNotTo, unknownMediaTypes} = facts;
  if (deletion === 'delete_failed') {
    yield warn(
      'DELETION_UNDER_WAY',
      from,
      `GitLab tried to delete ${from} and failed`,
      'ask an administrator to check that the registry may delete from its storage',
    );
  } else if (deletion !== undefined) {
    yield forbid(
      'DELETION_UNDER_WAY',
      from,
      `GitLab is deleting ${from} (${deletion})`,
      'wait until it is deleted, then plan again',
    );
  }
  if (!hasContent(facts)) return;
  if (whyNotTo !== undefined) {
    yield forbid(
      'NAME_INVALID',
      to,
      `${from} cannot be at ${to}: ${whyNotTo}`,
      'choose another path with --to',
    );
  }
  if (unknownMediaTypes.length > 0 && !isProved) {
    yield warn(
      'MEDIA_TYPE_UNKNOWN',
      from,
      `${from} has manifests of types that GitLab's registry may refuse: ${unknownMediaTypes.join(', ')}`,
      'they are pushed to the donor project first, so a refusal occurs before anything is deleted',
    );
  }
}

/** GitLab's registry refuses manifests with URLs unless its settings allow them (its registry/handlers/app.go). */
function foreignLayerChecks({blobs}: CopySet): readonly Check[] {
  const byRepository = Map.groupBy(
    blobs.filter(({action}) => action === 'foreign'),
    ({to}) => to,
  );
  return [...byRepository].map(([to, layers]) =>
    warn(
      'FOREIGN_LAYERS',
      to,
      `${layers.length} layer${layers.length === 1 ? '' : 's'} of ${to} are not in the registry, only at the URLs in their manifests, which the registry may refuse`,
      'use a project as the donor: a refusal then occurs before anything is deleted',
    ),
  );
}

function untagged(host: string): Check {
  return warn(
    'UNTAGGED_NOT_SEEN',
    host,
    'untagged manifests that no tagged index contains cannot be listed and are not moved',
    'tag those that are still pulled by digest, then plan again',
  );
}
