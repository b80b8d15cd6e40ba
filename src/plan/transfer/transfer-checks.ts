import type {Check} from '../../model/plan.ts';
import type {ProjectMove} from '../../model/transfer-plan.ts';
import type {TransferCopies} from './project-move.ts';
import {donorChecks} from './donor-checks.ts';
import {forbid, pass, shownNames, warn} from './make-check.ts';
import type {EarlierTransfer, TransferFacts} from './facts.ts';
import {imageChecks, registryChecks} from './registry-checks.ts';
import {pathChangesOf} from './steps.ts';
import {projectChecks} from './project-checks.ts';
import {ruleChecks} from './rule-checks.ts';

/** All checks of a transfer: what was proved, what deserves a look, and what forbids it. */
export function transferChecks(
  facts: TransferFacts,
  way: ProjectMove['way'],
  copies: TransferCopies,
): readonly Check[] {
  const {project, target} = facts;
  const checks = projectChecks(facts);
  // A project that is already at its new path needs no permissions.
  if (project.fullPath === target.fullPath) return checks;
  const {changes} = pathChangesOf(project, target);
  return [
    ...checks,
    ...earlierChecks(facts),
    // For a group, the token is checked once.
    ...(facts.withGroup === true ? [] : tokenChecks(facts, changes.length > 0)),
    ...(way === 'native' ? nativeChecks(facts, copies) : []),
    ...(way === 'staged' ? fallbackChecks(facts, copies) : []),
  ];
}

/** The checks of a staged move. */
export function fallbackChecks(facts: TransferFacts, copies: TransferCopies): readonly Check[] {
  return [
    ...registryChecks(facts),
    ...imageChecks(facts, copies),
    ...ruleChecks(facts),
    ...donorChecks(facts, copies),
    ...cleanupPolicyChecks(facts),
  ];
}

/** Findings about the fallback matter only if GitLab refuses, so they do not forbid a native move. */
function nativeChecks(facts: TransferFacts, copies: TransferCopies): readonly Check[] {
  const {
    project: {fullPath},
    donor: {donor},
  } = facts;
  const found = fallbackChecks(facts, copies);
  const forbidden = found.filter(({result}) => result === 'forbid');
  const can =
    'the registry has a metadata database and the top-level group stays, so GitLab can move the images itself';
  const [first, ...others] = forbidden;
  if (first === undefined) {
    return [
      pass(
        'NATIVE_WAY',
        fullPath,
        `${can}; if it refuses, they are moved by way of the donor ${donor.path}`,
      ),
      ...found.map((check): Check => {
        if (check.result === 'pass') return check;
        return {...check, message: `if GitLab does not move the images itself: ${check.message}`};
      }),
    ];
  }
  const more = others.length === 0 ? '' : ` (and ${others.length} more reasons)`;
  return [
    pass('NATIVE_WAY', fullPath, can),
    warn(
      'NO_FALLBACK',
      fullPath,
      `if GitLab refuses to move the images, the move ends there and nothing is changed, because it cannot use a donor: ${first.message}${more}`,
      `to add a donor to the plan, ${first.hint}; then plan again`,
    ),
  ];
}

const DAY_MS = 86_400_000;

/** Whether the token has the scopes that a move needs (GitLab: doc/user/profile/personal_access_tokens.md, scopes). */
export function tokenChecks(
  {token, now}: Pick<TransferFacts, 'token' | 'now'>,
  isMoved: boolean,
): readonly Check[] {
  const checks: Check[] = [];
  if (token.kind === 'job-token') {
    checks.push(
      forbid(
        'TOKEN_SCOPE_MISSING',
        'token',
        'a CI job token cannot move projects and groups',
        'create an access token with the api scope, and set GITLAB_TOKEN to it',
      ),
    );
  } else if (token.scopes?.includes('granular') === true) {
    checks.push(
      forbid(
        'TOKEN_SCOPE_MISSING',
        'token',
        'the token is fine-grained: it may pull and delete images, but no permission lets it push them back',
        'create a legacy token with the api scope; fine-grained tokens have no permission to push (GitLab: doc/auth/tokens/fine_grained_access_tokens.md)',
      ),
    );
  } else if (token.scopes !== undefined && !token.scopes.includes('api')) {
    checks.push(
      forbid(
        'TOKEN_SCOPE_MISSING',
        'token',
        `the token has the scopes ${token.scopes.join(', ') || 'none'}; moving a project requires api`,
        'create a token with the api scope',
      ),
    );
  } else if (isMoved && token.scopes !== undefined) {
    checks.push(pass('TOKEN_READY', 'token', 'the token has the scope api'));
  }
  if (token.expiresAt !== undefined && token.expiresAt - now < DAY_MS) {
    checks.push(
      warn(
        'TOKEN_ENDS_SOON',
        'token',
        'the token expires within 24 hours',
        'create one that is valid until the move is complete',
      ),
    );
  }
  return checks;
}

const HOUR_MS = 3_600_000;

/** Whether the cleanup policy may delete tags before it is paused. */
function cleanupPolicyChecks({project, now}: TransferFacts): readonly Check[] {
  const {policy, policyRunsAt, fullPath} = project;
  if (policy?.['enabled'] !== true) return [];
  const paused = pass(
    'POLICY_PAUSED',
    fullPath,
    'the cleanup policy is paused during the move and then restored',
  );
  if (policyRunsAt === undefined || policyRunsAt - now > HOUR_MS) return [paused];
  return [
    paused,
    warn(
      'POLICY_RUNS_SOON',
      fullPath,
      'the cleanup policy runs within the hour; tags that it deletes before it is paused are drift',
      'apply immediately, or plan again after it has run',
    ),
  ];
}

/** How to finish a transfer whose plan file is unknown. */
const WAYS_OUT =
  'complete that transfer with "transship apply PLAN", or restore the images with "transship rollback PLAN" while the project is at its old path, each with the plan file of that transfer; then plan again';

/**
 * Whether an earlier transfer of the project left images at a donor, or left its cleanup policy disabled. A move
 * without those images would lose track of them: nothing at the new path shows that they are missing.
 */
function earlierChecks(facts: TransferFacts): readonly Check[] {
  const found = [...journalChecks(facts), ...occupiedDonorChecks(facts), ...waitingChecks(facts)];
  return found.some(({code}) => code === 'TRANSFER_UNFINISHED')
    ? found
    : [...found, ...untaggedChecks(facts)];
}

/** Without a journal, only this shows that images may be at another donor. */
function* untaggedChecks({project, untagged = [], withGroup}: TransferFacts) {
  if (untagged.length === 0) return;
  yield warn(
    'REPOSITORY_EMPTY',
    project.fullPath,
    `there are image repositories without tags: ${shownNames(untagged)}`,
    `${withGroup === true ? 'they are deleted, since the group cannot move with them' : 'they are not moved'}. If an earlier transfer emptied them, apply or roll back its plan before this one: their images wait at its donor`,
  );
}

function* journalChecks({project, repositories, earlier = []}: TransferFacts) {
  const there = new Set(
    repositories.flatMap(({from, source}) =>
      source.roots.flatMap(({tag}) => (tag === undefined ? [] : [`${from}:${tag}`])),
    ),
  );
  for (const {planFile, from, donor, deleted, paused} of earlier) {
    const names = deleted.map(
      ({repository, tag}) => `${movedName(repository, from, project.fullPath)}:${tag}`,
    );
    const gone = names.filter((name) => !there.has(name));
    if (gone.length > 0) {
      yield forbid(
        'TRANSFER_UNFINISHED',
        project.fullPath,
        `the transfer of ${planFile} is not finished: ${listed(gone)} ${gone.length === 1 ? 'is' : 'are'} not in ${project.fullPath} and should be at its donor ${donor}`,
        `complete it with "transship apply ${planFile}" (add --adopt-new-tags if tags were pushed since), or restore the images with "transship rollback ${planFile}" while the project is at its old path; then plan again`,
      );
    }
    if (paused !== undefined && project.policy?.['enabled'] !== true) {
      yield warn(
        'POLICY_PAUSED_BEFORE',
        project.fullPath,
        `the cleanup policy was disabled by an earlier run of ${planFile}`,
        'this plan restores it as it was before that run; to keep it disabled, disable it after the move',
      );
    }
  }
}

function* occupiedDonorChecks({project, donor, repositories}: TransferFacts) {
  const only = repositories.flatMap(({from, source, onlyAtDonor = []}) =>
    onlyAtDonor
      .filter((tag) => !source.roots.some((root) => root.tag === tag))
      .map((tag) => `${from}:${tag}`),
  );
  if (only.length === 0) return;
  yield forbid(
    'TRANSFER_UNFINISHED',
    donor.donor.path,
    `the donor ${donor.donor.path} has ${listed(only)}, which ${project.fullPath} does not have: an earlier transfer may be unfinished`,
    `${WAYS_OUT}. If nobody needs those images, delete them from the donor or choose another with --donor`,
  );
}

/** Images that GitLab shows at a donor that this plan does not name. */
function* waitingChecks({project, waiting = []}: TransferFacts) {
  for (const donor of new Set(waiting.map((one) => one.donor))) {
    const images = waiting.filter((one) => one.donor === donor);
    const tags = images.reduce((sum, one) => sum + one.tags, 0);
    const [first] = images;
    yield forbid(
      'TRANSFER_UNFINISHED',
      donor,
      `the project ${donor} has ${tags === 1 ? '1 tag' : `${tags} tags`} of image repositories that have no tags in ${project.fullPath} (${shownNames(images.map(({from}) => from))}): an earlier transfer may be unfinished`,
      `${WAYS_OUT}. If that plan is lost, copy the images back: transship copy ${first?.at ?? ''} ${first?.from ?? ''}. If nobody needs them, delete them from ${donor}`,
    );
  }
}

/** The current name of an image, since its project may have moved. */
function movedName(repository: string, from: string, to: string): string {
  const slash = repository.indexOf('/');
  const [host, path] = [repository.slice(0, slash), repository.slice(slash + 1)];
  // Registries use lower case (GitLab: app/models/container_repository.rb).
  return `${host}/${to.toLowerCase()}${path.slice(from.length)}`;
}

function listed(names: readonly string[]): string {
  return `${names.length === 1 ? '1 tag' : `${names.length} tags`} (${shownNames(names)})`;
}

/** The cleanup policy before an earlier transfer disabled it; undefined: no transfer did. */
export function pausedBefore({
  project,
  earlier = [],
}: Pick<TransferFacts, 'project' | 'earlier'>): EarlierTransfer['paused'] {
  if (project.policy?.['enabled'] === true) return undefined;
  return earlier.find(({paused}) => paused !== undefined)?.paused;
}
