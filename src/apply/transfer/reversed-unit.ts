import {TransshipError} from '../../model/error.ts';
import type {BlobAction, CopyStep} from '../../model/plan.ts';
import type {Call} from '../../model/port.ts';
import {
  byDonor,
  type CopySet,
  type GroupMove,
  type GroupStep,
  type ProjectMove,
  type TransferStep,
  type TransferUnit,
} from '../../model/transfer-plan.ts';
import {withStepEstimates} from '../../plan/transfer/estimate.ts';
import {registryPathOf} from '../../model/gitlab-naming.ts';
import {splitPath, throwIfGroupTaken, throwIfTaken} from './locate.ts';
import type {TransferContext} from './transfer-run.ts';
import {copySetOf} from './verify-place.ts';

type Context = Pick<TransferContext, 'gitlab'>;

/**
 * The reverse move of a project or a group that has left its old path: from the new path by way of the donor to the old
 * one. GitLab's conditions are checked first, as far as it reports them.
 * @throws TransshipError ROLLBACK_TOO_LATE with the reason if the move can only be completed
 */
export async function reversedUnit(
  {group, moves}: TransferUnit,
  context: Context,
  call: Call,
): Promise<TransferUnit> {
  if (group !== undefined) {
    const parentId = await oldParent(group, context, call);
    const back = reversedGroup(group, parentId, moves);
    await throwIfStuck(back.group.to, () => throwIfGroupTaken(back, context, call));
    return {group: back, moves: moves.map((move) => reversedMove(move, undefined))};
  }
  const reversed: ProjectMove[] = [];
  for (const move of moves) {
    const back = reversedMove(move, await oldNamespace(move, context, call));
    await throwIfStuck(back.project.to, () => throwIfTaken(back, context, call));
    reversed.push(back);
  }
  return {moves: reversed};
}

/** The ID of a step of the reverse move. */
export function backId(id: string): string {
  return `back:${id}`;
}

/** @param namespaceId the ID of the old namespace; undefined: the project moves back with its group */
function reversedMove(move: ProjectMove, namespaceId: number | undefined): ProjectMove {
  const staged = byDonor(move);
  const {steps, downtimeSeconds} = staged === undefined ? move : reversedMove(staged, namespaceId);
  const fallback = staged === undefined ? {} : {fallback: {steps, downtimeSeconds}};
  return {...reversedWay(move, namespaceId), ...fallback};
}

function reversedWay(move: ProjectMove, namespaceId: number | undefined): ProjectMove {
  const {project, donor, repositories, steps, manifests} = move;
  const pull = outward(move);
  const push = backward(move);
  const back = steps
    .filter(({kind}) => kind === 'change-path')
    .toReversed()
    .map((step) => reversedChange(step, move, namespaceId));
  const place = steps.findIndex(({kind}) => kind === 'change-path');
  const rest = steps.filter(({kind}) => kind !== 'change-path');
  const at = place < 0 ? rest.length : place;
  const reversed = [...rest.slice(0, at), ...back, ...rest.slice(at)].flatMap((step) =>
    reversedStep(step, move, {pull, push}),
  );
  const subject = {
    donor,
    manifests,
    repositories: repositories.map((repository) => ({
      ...repository,
      from: repository.to,
      to: repository.from,
    })),
  };
  return {
    ...move,
    ...subject,
    project: {id: project.id, from: project.to, to: project.from},
    steps: withStepEstimates(reversed, subject),
  };
}

function reversedStep(
  step: TransferStep,
  {project}: ProjectMove,
  {pull, push}: {readonly pull: CopySet; readonly push: CopySet},
): readonly TransferStep[] {
  const base = {id: backId(step.id), needs: step.needs.map(backId)};
  switch (step.kind) {
    case 'pull':
      return [{...step, ...base, ...pull, why: 'the donor may have lost some of the images'}];
    case 'push':
      return [{...step, ...base, ...push, why: 'the images follow their project'}];
    case 'freeze':
    case 'unfreeze': {
      const [old, now] = [registryPathOf(project.from), registryPathOf(project.to)];
      const patterns = step.patterns.map((pattern) => now + pattern.slice(old.length));
      return [{...step, ...base, patterns}];
    }
    case 'move-rules': {
      const rules = step.rules.map(({id, from, to}) => ({id, from: to, to: from}));
      return [{...step, ...base, rules}];
    }
    // The registry accepted everything when it was pushed, and the donor is kept.
    case 'probe':
    case 'remove-donor':
      return [];
    default:
      return [{...step, ...base}];
  }
}

function reversedChange(
  step: TransferStep,
  {project: {from}}: ProjectMove,
  namespaceId: number | undefined,
): TransferStep {
  if (step.kind !== 'change-path') return step;
  const {namespaceId: _namespaceId, path: _path, ...rest} = step;
  return step.path === undefined
    ? {...rest, ...(namespaceId === undefined ? {} : {namespaceId}), why: 'it was there before'}
    : {...rest, path: splitPath(from).path, why: 'that was its path before'};
}

function reversedGroup(
  {group, steps, ...rest}: GroupMove,
  parentId: number | null,
  moves: readonly ProjectMove[],
): GroupMove {
  const changes = steps.filter((step) => step.kind === 'change-group').toReversed();
  const back = changes.map((step): GroupStep => {
    const {parentId: _parentId, path, ...base} = step;
    return {
      ...base,
      id: backId(step.id),
      needs: [],
      ...(path === undefined ? {parentId} : {path: splitPath(group.from).path}),
      why: 'it was there before',
    };
  });
  const records = steps.filter((step) => step.kind === 'delete-records');
  const names = moves.flatMap(({repositories}) => repositories.map(({to}) => to));
  return {
    ...rest,
    group: {id: group.id, from: group.to, to: group.from},
    records: names,
    withoutImages: rest.withoutImages.map((path) => group.to + path.slice(group.from.length)),
    steps: [
      ...records.map((step): GroupStep => ({...step, id: backId(step.id), needs: []})),
      ...back,
    ],
  };
}

/** From the new path to the donor: the reverse of the push, with all images. */
function outward(move: ProjectMove): CopySet {
  const {copies, blobs} = copySetOf(move, 'push');
  const donors = new Map(move.repositories.map(({to, donor}) => [to, donor]));
  return {
    copies: copies.map((copy): CopyStep => {
      const {sourceTag: _sourceTag, ...rest} = copy;
      return {
        ...rest,
        id: outId(copy.id),
        from: copy.to,
        to: donors.get(copy.to) ?? copy.from,
        needs: copy.needs.map(outId),
        // Content at the donor is that of this plan, or it is kept and reported.
        replaces: null,
      };
    }),
    blobs: blobs.map((blob): BlobAction => {
      const {mountFrom: _mountFrom, ...rest} = blob;
      const to = donors.get(blob.to) ?? blob.from;
      const isDirectory = to.startsWith('oci:');
      const action = blob.action === 'foreign' ? 'foreign' : isDirectory ? 'copy' : 'mount';
      const from = blob.to;
      return {...rest, from, to, action, ...(action === 'mount' ? {mountFrom: from} : {})};
    }),
  };
}

/** From the donor to the old path: the copies of the push with another destination. */
export function backward(move: ProjectMove): CopySet {
  const {copies, blobs} = copySetOf(move, 'push');
  const names = new Map(move.repositories.map(({from, to}) => [to, from]));
  const at = (to: string): string => names.get(to) ?? to;
  const isOfTransfer = new Set(move.repositories.map(({to}) => to));
  return {
    copies: copies.map(
      (copy): CopyStep => ({
        ...copy,
        id: backId(copy.id),
        to: at(copy.to),
        needs: copy.needs.map(backId),
        replaces: null,
      }),
    ),
    blobs: blobs.map((blob): BlobAction => {
      const {mountFrom} = blob;
      const isMoved = mountFrom !== undefined && isOfTransfer.has(mountFrom);
      return {...blob, to: at(blob.to), ...(isMoved ? {mountFrom: at(mountFrom)} : {})};
    }),
  };
}

function outId(id: string): string {
  return `out:${id}`;
}

async function oldNamespace(
  {project: {id, from}, steps}: ProjectMove,
  {gitlab}: Context,
  call: Call,
): Promise<number | undefined> {
  const project = await gitlab.projects.get(id, call);
  if (project.archived || project.deletionDate !== undefined)
    throw tooLate(from, `${project.fullPath} is archived or marked for deletion`);
  if (!steps.some((step) => step.kind === 'change-path' && step.namespaceId !== undefined))
    return undefined;
  const path = splitPath(from).namespace.slice(0, -1);
  const namespace = await gitlab.groups.findNamespace(path, call);
  if (namespace === undefined)
    throw tooLate(from, `GitLab shows no namespace ${path} to this token any more`);
  if (project.namespace.id === namespace.id) return namespace.id;
  const locations =
    namespace.kind === 'group'
      ? await gitlab.projects.transferLocations(id, splitPath(path).path, call)
      : undefined;
  const isAdmin = await ownerIsAdmin({gitlab}, call);
  if (!isAdmin && locations?.every((one) => one.id !== namespace.id) === true)
    throw tooLate(from, `the token may not move projects to ${path}`);
  const [root = ''] = project.fullPath.split('/');
  const scoped =
    root.toLowerCase() === path.split('/')[0]?.toLowerCase()
      ? undefined
      : await gitlab.projects.scopedPackage(id, root, call);
  if (scoped !== undefined)
    throw tooLate(from, `the npm package ${scoped} is named after the top-level group ${root}`);
  return namespace.id;
}

async function oldParent(
  {group: {id, from}, steps}: GroupMove,
  {gitlab}: Context,
  call: Call,
): Promise<number | null> {
  const path = splitPath(from).namespace.slice(0, -1);
  if (path === '') return null;
  const parent = await gitlab.groups.find(path, call);
  if (parent?.fullPath.toLowerCase() !== path.toLowerCase())
    throw tooLate(from, `GitLab shows no group ${path} to this token any more`);
  const isMoved = steps.some((step) => step.kind === 'change-group' && step.parentId !== undefined);
  const {parentId} = await gitlab.groups.get(id, call);
  if (!isMoved || parentId === parent.id) return parent.id;
  const locations = await gitlab.groups.transferLocations(id, parent.path, call);
  if (locations.every((one) => one.id !== parent.id) && !(await ownerIsAdmin({gitlab}, call)))
    throw tooLate(from, `the token may not move groups to ${path}`);
  return parent.id;
}

async function ownerIsAdmin({gitlab}: Context, call: Call): Promise<boolean> {
  const user = await gitlab.account.user(call).catch((error: unknown) => {
    // Tokens without the scope read_user cannot read their owner.
    if (error instanceof TransshipError && error.status === 403) return undefined;
    throw error;
  });
  return user?.isAdmin ?? false;
}

async function throwIfStuck(from: string, look: () => Promise<void>): Promise<void> {
  await look().catch((error: unknown) => {
    throw error instanceof TransshipError && error.code === 'NAME_TAKEN'
      ? tooLate(from, error.message)
      : error;
  });
}

function tooLate(from: string, why: string): TransshipError {
  return new TransshipError('ROLLBACK_TOO_LATE', `cannot move back to ${from}: ${why}`, {
    side: 'gitlab',
    hint: 'nothing was changed. Apply the plan again to complete it at the new path; or remove the obstacle, then roll back',
  });
}
