import {byRehashing} from '../apply/proof.ts';
import {dirname, resolve} from 'node:path';
import {journalBeside, type JournalEntry, readJournal} from '../apply/journal-file.ts';
import type {Journal} from '../apply/journal.ts';
import type {RunLock} from '../apply/run-locks.ts';
import {adoptedBefore, countAdopted, moveWithTags} from '../apply/transfer/adopt-tags.ts';
import {applyTransfer} from '../apply/transfer/apply-transfer.ts';
import {donorAbsent, isDonorThere} from '../apply/transfer/donor.ts';
import {rollbackTransfer} from '../apply/transfer/rollback-transfer.ts';
import {locateProject} from '../apply/transfer/locate.ts';
import {wayByJournal} from '../apply/transfer/native-way.ts';
import {reportEnd} from '../apply/apply-plan.ts';
import {resultOf} from '../apply/transfer/plan-result.ts';
import type {TransferContext} from '../apply/transfer/transfer-run.ts';
import {compareAt} from '../apply/transfer/verify-place.ts';
import type {Compared} from '../apply/verify-plan.ts';
import {DEFAULT_PATIENCE} from '../gitlab/confirm.ts';
import {throwIfJobToken} from '../gitlab/connection.ts';
import type {GitLab} from '../gitlab/gitlab.ts';
import {rightsAt} from '../gitlab/preflight/registry.ts';
import {TransshipError} from '../model/error.ts';
import type {ComparedPlace, RunResult, Shard, VerifyResult} from '../model/outcome.ts';
import type {Call} from '../model/port.ts';
import {parseReference} from '../model/reference.ts';
import {
  byDonor,
  type Donor,
  groupOf,
  type ProjectMove,
  type TransferPlan,
  unitsOf,
} from '../model/transfer-plan.ts';
import {forgetTransfer, journalOf, projectLock, rememberTransfer} from './earlier-transfers.ts';
import {type GitLabFlags, openPlannedGitLab} from './gitlab-access.ts';
import type {Io} from './io.ts';
import type {RunFlags} from './options.ts';
import type {PlanTrust} from './plan-trust.ts';
import {runOptions} from './run-plan.ts';
import {
  openPlanJournal,
  settingsOf,
  tellingOfStop,
  throwIfForbidden,
} from '../library/apply-plan.ts';
import type {Session} from '../library/session.ts';
import {directoryFrom, isCiJob, relativeTo} from './transfer-wish.ts';

export interface TransferRunFlags extends RunFlags, GitLabFlags {
  readonly yes?: boolean;
  readonly removeDonor?: boolean;
  readonly adoptNewTags?: boolean;
}

/** GitLab deletes image repositories in the background, two at a time (GitLab: app/workers/container_registry). */
const DELETION_PATIENCE = {everyMs: 5_000, limitMs: 30 * 60_000};

/** A transfer plan, and the environment of the command that uses it. */
export interface TransferCommand<Flags extends GitLabFlags = TransferRunFlags> {
  readonly plan: TransferPlan;
  /** The plan file. */
  readonly file: string;
  readonly flags: Flags;
  readonly io: Io;
  readonly session: Session;
  readonly trust: PlanTrust;
  /** The shard to which the plan is reduced. */
  readonly shard?: Shard | undefined;
}

/** Applies a transfer plan. @throws TransshipError the first check that forbids it */
export async function runTransfer(command: TransferCommand): Promise<RunResult> {
  const {plan, io} = command;
  throwIfForbidden(plan);
  throwIfLostWithJob(plan, io);
  // There are more shards than projects.
  if (unitsOf(plan).length === 0) {
    const none = resultOf(plan, [], {isRollback: false});
    reportEnd(none, command.session.report);
    return command.shard === undefined ? none : {...none, shard: command.shard};
  }
  return await withContext({...command, plan: withoutLost(plan, io)}, applyTransfer);
}

/** Rolls back incomplete transfers. */
export async function runRollback(command: TransferCommand): Promise<RunResult> {
  return await withContext(command, rollbackTransfer);
}

/** Until the transfers are finished, new plans find their journal. */
async function withContext(
  command: TransferCommand,
  work: typeof applyTransfer,
): Promise<RunResult> {
  const {plan, file, flags, io, session, shard} = command;
  const at = flags.journal ?? journalBeside(file, shard);
  await using journal = await openTransferJournal(command, at);
  const context = await contextOf(command, journal);
  await rememberTransfer(at, io);
  try {
    const result = await tellingOfStop(session, () => work(plan, context, session.interruption));
    return shard === undefined ? result : {...result, shard};
  } finally {
    const {deleted, paused} = journal.unfinished;
    if (deleted.size === 0 && paused.size === 0) await forgetTransfer(at, file, io);
  }
}

/**
 * Compares the images of each project at their current place, or at the donor, with the plan, including tags that were
 * added after planning.
 */
export async function verifyTransfer(command: TransferCommand<VerifyFlags>): Promise<VerifyResult> {
  const {plan, file, io, shard} = command;
  const {gitlab} = await accessFor(command);
  const journal = await readJournal(await journalOf(plan.id, file, undefined, io, shard));
  const verified: {compared: Compared; place: ComparedPlace}[] = [];
  for (const move of plan.moves) verified.push(await verifyMove(move, gitlab, journal, command));
  const checked = verified.map(({compared}) => compared.checked);
  const total = (of: keyof Compared['checked']): number =>
    checked.reduce((sum, counts) => sum + counts[of], 0);
  return {
    plan: plan.id,
    checked: {tags: total('tags'), manifests: total('manifests'), blobs: total('blobs')},
    differences: verified.flatMap(({compared}) => compared.differences),
    projects: verified.map(({place}) => place),
  };
}

type VerifyFlags = GitLabFlags & {readonly donor?: boolean; readonly read?: boolean};

async function verifyMove(
  planned: ProjectMove,
  gitlab: GitLab,
  journal: readonly JournalEntry[],
  {file, flags, plan, session}: TransferCommand<VerifyFlags>,
): Promise<{compared: Compared; place: ComparedPlace}> {
  const {places, reading, report, retry} = session;
  const move =
    flags.donor === true ? (byDonor(planned) ?? planned) : wayByJournal(planned, journal);
  const where = await locateProject(move, groupOf(move, plan.groups), {gitlab}, reading);
  const base = dirname(file);
  const repositories = relativeTo(base, places);

  const proof = flags.read === true ? byRehashing({plan: plan.id, retry, report}) : undefined;
  const lookout = {
    context: {repositories, gitlab, directoryOf: (place: string) => directoryFrom(base, place)},
    call: reading,
    progress: {where},
  };
  if (flags.donor === true) await throwIfRemoved(move, journal, lookout, reading);
  const whole = await moveWithTags(move, await adoptedBefore(move, journal, lookout), lookout);
  const standing = {before: 'old', between: 'donor', after: 'target'} as const;
  const place = flags.donor === true ? 'donor' : standing[where];
  const {id, from, to} = move.project;
  const at = {old: from, donor: move.donor.path, target: to}[place];
  return {
    compared: await compareAt(whole, place, repositories, reading, proof),
    place: {id, from, to, place, at, project: where, adopted: countAdopted(move, whole)},
  };
}

/** @throws TransshipError DONOR_ABSENT if there is nothing to compare at the donor */
async function throwIfRemoved(
  move: ProjectMove,
  journal: readonly JournalEntry[],
  {context, progress}: Parameters<typeof moveWithTags>[2],
  call: Call,
): Promise<void> {
  const {donor, project, steps} = move;
  const removal = steps.find(({kind}) => kind === 'remove-donor')?.id;
  const isDone = journal.some(
    (entry) => entry.type === 'step' && entry.id === removal && entry.outcome === 'done',
  );
  const hint = `compare ${progress.where === 'after' ? `the new path ${project.to}` : 'the place of the images'} with "transship verify" without --donor`;
  if (isDone && progress.where === 'after') {
    throw new TransshipError(
      'DONOR_ABSENT',
      `this plan removed its images from the donor ${donor.path}, after all of them were verified at ${project.to}`,
      {side: donor.kind === 'project' ? 'gitlab' : 'local', hint},
    );
  }
  if (!(await isDonorThere(move, {context, call})))
    throw donorAbsent(move, context, `; if it was removed on purpose, ${hint}`);
}

/** Opens the instance of the plan, and logs in to its registry. @throws TransshipError HOST_NOT_NAMED */
async function accessFor({
  plan,
  flags,
  io,
  session,
  trust,
}: TransferCommand<GitLabFlags>): Promise<
  Pick<TransferContext, 'traits' | 'tagLimits'> & {readonly gitlab: GitLab}
> {
  const {reading} = session;
  const access = await openPlannedGitLab(plan, trust, flags, io, session);
  throwIfJobToken(access.tokenKind);
  const host = await registryHost(plan, access.gitlab, reading);
  const [first] = [
    ...plan.moves.map(({project}) => project.id),
    ...(plan.groups ?? []).flatMap(({withoutImages}) => withoutImages),
  ];
  const told = async (): Promise<string | undefined> =>
    first === undefined
      ? undefined
      : (await access.gitlab.projects.find(first, reading))?.registryHost;
  if (host !== undefined) await trust.checkRegistry(host, told);
  const registry = host === undefined ? undefined : access.openRegistry(host, 'destination');
  return {
    gitlab: access.gitlab,
    traits: async (own) => (await registry?.traits(own)) ?? {deletesTags: false, database: false},
    tagLimits: async (name, own) => {
      const {path} = parseReference(name);
      return registry && (await rightsAt(registry, path, own))?.tagLimits;
    },
  };
}

/**
 * Includes projects whose repositories have no tags, because they are examined before they move. Undefined: there is
 * none.
 */
async function registryHost(
  {moves, groups = []}: TransferPlan,
  gitlab: GitLab,
  call: Call,
): Promise<string | undefined> {
  const repositories = moves.flatMap((move) => move.repositories.map(({from}) => from));
  const [planned] = [...repositories, ...groups.flatMap(({records}) => records)];
  if (planned !== undefined) return planned.split('/')[0];
  for (const {group} of groups) {
    const [record] = await gitlab.repositories.ofGroup(group.id, call);
    if (record !== undefined) return record.registryHost;
  }
  for (const {project} of moves) {
    const found = await gitlab.projects.find(project.id, call);
    if (found?.registryAccess === 'disabled') continue;
    const host =
      found?.registryHost ??
      (await gitlab.repositories.ofProject(project.id, call))[0]?.registryHost;
    if (host !== undefined) return host;
  }
  return undefined;
}

/** @throws TransshipError DONOR_UNFIT if images would be lost with the disk of a CI job */
function throwIfLostWithJob({moves}: TransferPlan, {env}: Io): void {
  if (!isCiJob(env)) return;
  for (const {donor, way} of moves) {
    if (way !== 'staged' || !isOfJob(donor)) continue;
    throw new TransshipError(
      'DONOR_UNFIT',
      `this is a CI job, and the donor directory ${donor.path} may be deleted with it`,
      {
        side: 'local',
        hint: 'plan again with a project as --donor; or, if the directory outlives the job, with --donor-on-this-machine',
      },
    );
  }
}

/** Directories that may be deleted with the CI job that applies the plan. */
function isOfJob(donor: Donor): boolean {
  return donor.kind === 'directory' && donor.onThisMachine !== true;
}

/** In a CI job, a native move has no fallback with a directory that may be deleted with the job. */
function withoutLost(plan: TransferPlan, {env}: Io): TransferPlan {
  if (!isCiJob(env)) return plan;
  const moves = plan.moves.map(({fallback, ...move}) =>
    fallback === undefined || isOfJob(move.donor) ? move : {...move, fallback},
  );
  return {...plan, moves};
}

async function openTransferJournal(
  {plan: {id, wish, moves}, file, io, session}: TransferCommand,
  journal: string,
): Promise<Journal> {
  const {gitlab} = wish;
  const projects = moves.map(({project, donor}) => ({...project, donor: donor.path}));
  const transfer = {gitlab, planFile: resolve(file), projects};
  const projectLocks: RunLock[] = [];
  for (const {project} of moves) {
    const path = await projectLock(gitlab, project.id, io);
    const what = `the project ${project.from} of ${gitlab}`;
    if (path !== undefined) projectLocks.push({path, what});
  }
  const work = {file: journal, plan: id, transfer, projectLocks};
  return await openPlanJournal(work, session);
}

async function contextOf(command: TransferCommand, journal: Journal): Promise<TransferContext> {
  const {file, flags, io, session} = command;
  const {places, limits, report} = session;
  const base = dirname(file);
  return {
    ...(await accessFor(command)),
    repositories: relativeTo(base, places),
    directoryOf: (place) => directoryFrom(base, place),
    journal,
    report,
    ...(limits ? {limits} : {}),
    settings: settingsOf(runOptions(flags), session.retry),
    mayDelete: consent(flags, io),
    adoptNewTags: flags.adoptNewTags === true,
    removesDonor: flags.removeDonor === true,
    patience: io.patience ?? DEFAULT_PATIENCE,
    deletionPatience: DELETION_PATIENCE,
  };
}

function consent({yes}: TransferRunFlags, {ask}: Io): TransferContext['mayDelete'] {
  if (yes === true) return () => Promise.resolve(true);
  if (ask === undefined) return undefined;
  return ({tags, repositories, projects, donors}) => {
    const [project, ...others] = projects;
    const those = `The ${tags} tags in ${repositories} image repositories of`;
    return ask(
      others.length === 0
        ? `${those} ${project} will be deleted after all are verified at ${donors.join(', ')}. Continue?`
        : `${those} ${projects.length} projects (${projects.join(', ')}) will be deleted, project by project, after all of a project are verified at its donor (${donors.join(', ')}). Continue?`,
    );
  };
}
