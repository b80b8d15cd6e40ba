import type {ProjectFacts, TargetFacts} from './facts.ts';

/** One call that moves the project: GitLab changes the namespace and the path apart from each other. */
export type Move =
  | {readonly kind: 'namespace'; readonly namespaceId: number}
  | {readonly kind: 'path'; readonly path: string};

/** The calls in the order in which they work; or the project that is in the way of both orders. */
export type Moves =
  | {readonly moves: readonly Move[]}
  | {readonly moves: readonly []; readonly inTheWay: string};

/**
 * A transfer before a change of path, since most refusals come from transfers and should come first; the other way
 * round if another project has the old path in the new namespace.
 */
export function movesOf(project: ProjectFacts, target: TargetFacts): Moves {
  const transfer: Move[] =
    project.namespace.id === target.namespace.id
      ? []
      : [{kind: 'namespace', namespaceId: target.namespace.id}];
  const rename: Move[] = project.path === target.path ? [] : [{kind: 'path', path: target.path}];
  if (transfer.length === 0 || rename.length === 0) return {moves: [...transfer, ...rename]};
  const {oldPathInNew, newPathInOld} = target.taken;
  if (oldPathInNew === undefined) return {moves: [...transfer, ...rename]};
  if (newPathInOld === undefined) return {moves: [...rename, ...transfer]};
  return {moves: [], inTheWay: oldPathInNew};
}
