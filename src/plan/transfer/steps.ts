import type {
  Donor,
  PolicyState,
  ProbedManifest,
  TransferPlan,
  TransferStep,
} from '../../model/transfer-plan.ts';
import type {Carriages} from './carriage.ts';
import type {RepositoryFacts} from './facts.ts';
import type {Move} from './moves.ts';
import {probesOf} from './probes.ts';

/** `Omit` for each member of a union. */
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
type Bare = Without<TransferStep, 'needs'>;

/**
 * The steps of a transfer, each needing the one before. The order is that of GitLab's manual for images in a project
 * that moves (GitLab: doc/user/packages/container_registry/troubleshoot_container_registry.md): pull, delete, move,
 * push; and a proof before everything that cannot be undone.
 * @param repositories those with images
 * @param policy of a cleanup policy that is at work, or was before an earlier transfer; undefined: there is none
 * @param isPaused an earlier transfer switched it off, so that it has to be put back whichever way the images go
 */
export function transferSteps(
  way: TransferPlan['way'],
  moves: readonly Move[],
  repositories: readonly RepositoryFacts[],
  {pull, push}: Carriages,
  donor: Donor,
  policy: PolicyState | undefined,
  isPaused: boolean,
): readonly TransferStep[] {
  if (moves.length === 0) return [];
  const changes = moves.map((move) => changeStep(move, moves.length));
  const resumed = isPaused && policy !== undefined ? [resumeStep(policy)] : [];
  switch (way) {
    case 'empty':
      return inOrder([...changes, ...resumed]);
    case 'native':
      return inOrder([
        ...changes,
        verifyTarget('GitLab does not look at what its registry did'),
        ...resumed,
      ]);
    case 'staged':
      return inOrder([
        ...(donor.kind === 'project' && donor.id === undefined ? [createStep(donor)] : []),
        ...(policy === undefined ? [] : [pauseStep(policy)]),
        {
          id: 'pull',
          kind: 'pull',
          why: 'the images need a place while their project has none for them',
          ...pull,
        },
        {
          id: 'verify-donor',
          kind: 'verify',
          at: 'donor',
          why: 'nothing is deleted before it is verified at the donor',
        },
        ...(donor.kind === 'directory' ? [probeStep(repositories)] : []),
        {
          id: 'delete-old',
          kind: 'delete-old',
          why: 'GitLab moves no project that has tags in its registry',
        },
        ...changes,
        {id: 'retag', kind: 'retag', why: 'the images are named after the path of their project'},
        {id: 'push', kind: 'push', why: 'the images follow their project', ...push},
        verifyTarget('the donor may be removed only after everything is at the new path'),
        ...(policy === undefined ? [] : [resumeStep(policy)]),
        {
          id: 'remove-donor',
          kind: 'remove-donor',
          why: 'only with "apply --remove-donor"; until then the images stay at the donor as well',
        },
      ]);
  }
}

function inOrder(steps: readonly Bare[]): readonly TransferStep[] {
  return steps.map((step, at): TransferStep => {
    const before = steps[at - 1];
    return {...step, needs: before === undefined ? [] : [before.id]};
  });
}

function changeStep(move: Move, count: number): Bare {
  const alone = count === 1 ? '' : '; GitLab changes namespace and path one after the other';
  return move.kind === 'namespace'
    ? {
        id: 'change-namespace',
        kind: 'change-path',
        namespaceId: move.namespaceId,
        why: `the project goes to another namespace${alone}`,
      }
    : {
        id: 'change-path',
        kind: 'change-path',
        path: move.path,
        why: `the project gets another path${alone}`,
      };
}

function verifyTarget(why: string): Bare {
  return {id: 'verify-target', kind: 'verify', at: 'target', why};
}

function createStep({path, namespaceId}: Donor & {readonly kind: 'project'}): Bare {
  return {
    id: 'create-donor',
    kind: 'create-donor',
    path,
    namespaceId,
    why: 'the images wait in a project that is not there yet',
  };
}

/** What waits in a project was taken by the registry already. */
function probeStep(repositories: readonly RepositoryFacts[]): Bare {
  const manifests = probesOf(repositories).map(
    ({repository, digest}): ProbedManifest => ({repository, digest}),
  );
  return {
    id: 'probe',
    kind: 'probe',
    uploadsTo: repositories[0]?.from ?? '',
    manifests,
    why: 'nothing is deleted that the registry might refuse later',
  };
}

function pauseStep(policy: PolicyState): Bare {
  return {
    id: 'pause',
    kind: 'pause',
    why: 'it could delete tags during the move',
    policy,
  };
}

function resumeStep(policy: PolicyState): Bare {
  return {id: 'resume', kind: 'resume', why: 'the cleanup policy was enabled before', policy};
}
