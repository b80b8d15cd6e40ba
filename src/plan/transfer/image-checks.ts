import type {Check} from '../../model/plan.ts';
import type {Carriage} from '../../model/transfer-plan.ts';
import type {Carriages} from './carriage.ts';
import type {RepositoryFacts, TransferFacts} from './facts.ts';
import {forbid, warn} from './finding.ts';
import {hasContent} from './way.ts';

/**
 * Whether everything that is at the old path gets to the new one. What would be left behind forbids the plan: its
 * deletion would lose it, and without its deletion the project does not move.
 */
export function imageChecks(
  {repositories, registry}: TransferFacts,
  {skipped, checks, push}: Carriages,
): readonly Check[] {
  // What the registry itself was asked about, it need not be guessed about.
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
    // A name that cannot be asked for is told of above, in other words.
    ...checks
      .filter(({code}) => code !== 'SKIPPED')
      .map((check): Check => ({...check, result: 'forbid', hint: hintOf(check)})),
    ...repositories.flatMap((repository) => [...repositoryChecks(repository, isProved)]),
    ...(isProved ? [] : foreignLayers(push)),
    ...(lost.size === 0 && repositories.some(hasContent) ? [untagged(registry?.host ?? '')] : []),
  ];
}

/** A transfer takes a repository as a whole: what advice for copies says of filters cannot be followed. */
function hintOf({code, subject, hint}: Check): string {
  switch (code) {
    case 'SOURCE_INCOMPLETE':
      return `push the image again; or let the tag go without what is missing: transship copy --platform OS/ARCH ${subject} ${subject}; or delete the tag; then plan again`;
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
      'look at the rights of the registry at its storage before tags are deleted there',
    );
  } else if (deletion !== undefined) {
    yield forbid(
      'DELETION_UNDER_WAY',
      from,
      `GitLab is deleting ${from} (${deletion})`,
      'wait until it is gone, and plan again',
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
      `${from} has manifests with types that GitLab's registry may refuse: ${unknownMediaTypes.join(', ')}`,
      'the donor project takes them first, so a refusal comes before anything is deleted',
    );
  }
}

/** GitLab's registry takes no manifest with URLs unless its settings name them (its registry/handlers/app.go). */
function foreignLayers({blobs}: Carriage): readonly Check[] {
  const byRepository = Map.groupBy(
    blobs.filter(({action}) => action === 'foreign'),
    ({to}) => to,
  );
  return [...byRepository].map(([to, layers]) =>
    warn(
      'FOREIGN_LAYERS',
      to,
      `${layers.length} layer${layers.length === 1 ? '' : 's'} of ${to} are not in the registry, only at the URLs in their manifests, which the registry may refuse`,
      'take a project as the donor: its registry refuses them before anything is deleted',
    ),
  );
}

function untagged(host: string): Check {
  return warn(
    'UNTAGGED_NOT_SEEN',
    host,
    'manifests without a tag, and outside of any index with one, cannot be listed and do not come along',
    'give those that are still pulled by digest a tag, and plan again',
  );
}
