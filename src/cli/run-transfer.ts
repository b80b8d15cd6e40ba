import {dirname, resolve} from 'node:path';
import {journalBeside, type JournalEntry, readJournal} from '../apply/journal-file.ts';
import type {Journal} from '../apply/journal.ts';
import {adoptedBefore, countAdopted, planWithTags} from '../apply/transfer/adopt-tags.ts';
import {applyTransfer} from '../apply/transfer/apply-transfer.ts';
import {donorAbsent, isDonorThere} from '../apply/transfer/donor.ts';
import {rollbackTransfer} from '../apply/transfer/rollback-transfer.ts';
import {locateProject} from '../apply/transfer/standing.ts';
import type {TransferContext} from '../apply/transfer/transfer-run.ts';
import {compareAt} from '../apply/transfer/verify-place.ts';
import {DEFAULT_PATIENCE} from '../gitlab/confirm.ts';
import {throwIfJobToken} from '../gitlab/connection.ts';
import type {GitLab} from '../gitlab/gitlab.ts';
import {rightsAt} from '../gitlab/preflight/registry.ts';
import {TransshipError} from '../model/error.ts';
import type {RunResult, VerifyResult} from '../model/outcome.ts';
import type {Call} from '../model/port.ts';
import {parseReference} from '../model/reference.ts';
import type {TransferPlan} from '../model/transfer-plan.ts';
import {forgetTransfer, journalOf, projectLock, rememberTransfer} from './earlier-transfers.ts';
import {type GitLabFlags, openPlannedGitLab} from './gitlab-access.ts';
import type {Io} from './io.ts';
import type {RunFlags} from './options.ts';
import type {PlanTrust} from './plan-trust.ts';
import {openPlanJournal, settingsOf, tellingOfStop, throwIfForbidden} from './run-plan.ts';
import type {Session} from './session.ts';
import {folderFrom, isCiJob, relativeTo} from './transfer-wish.ts';

export interface TransferRunFlags extends RunFlags, GitLabFlags {
  readonly yes?: boolean;
  readonly removeDonor?: boolean;
  readonly adoptNewTags?: boolean;
}

/** The plan of a transfer, and all that a command works on it with. */
export interface TransferCommand<Flags extends GitLabFlags = TransferRunFlags> {
  readonly plan: TransferPlan;
  /** The plan's file. */
  readonly file: string;
  readonly flags: Flags;
  readonly io: Io;
  readonly session: Session;
  readonly trust: PlanTrust;
}

/** Applies the plan of a transfer. @throws TransshipError the first check that forbids it */
export async function runTransfer(command: TransferCommand): Promise<RunResult> {
  const {plan, io} = command;
  throwIfForbidden(plan);
  throwIfLostWithJob(plan, io);
  return await withContext(command, applyTransfer);
}

/** Takes a half-done transfer back. */
export async function runRollback(command: TransferCommand): Promise<RunResult> {
  return await withContext(command, rollbackTransfer);
}

/** Plans that are made until the transfer is at its end find its journal. */
async function withContext(
  command: TransferCommand,
  work: typeof applyTransfer,
): Promise<RunResult> {
  const {plan, file, flags, io, session} = command;
  const at = flags.journal ?? journalBeside(file);
  await using journal = await openTransferJournal(command, at);
  const context = await contextOf(command, journal);
  await rememberTransfer(at, io);
  try {
    return await tellingOfStop(session, () => work(plan, context, session.interruption));
  } finally {
    const {deleted, paused} = journal.unfinished;
    if (deleted.size === 0 && paused.size === 0) await forgetTransfer(at, file, io);
  }
}

/**
 * Compares the place where the images are to be now, or the donor; tags that were taken along after planning are part of
 * it.
 */
export async function verifyTransfer(
  command: TransferCommand<GitLabFlags & {readonly donor?: boolean}>,
): Promise<VerifyResult> {
  const {plan, file, flags, io, session} = command;
  const {places, reading} = session;
  const {gitlab} = await accessFor(command);
  const where = await locateProject(plan, {gitlab}, reading);
  const base = dirname(file);
  const repositories = relativeTo(base, places);
  const lookout = {
    context: {repositories, gitlab, folderOf: (place: string) => folderFrom(base, place)},
    call: reading,
    progress: {where},
  };
  const journal = await readJournal(await journalOf(plan.id, file, undefined, io));
  if (flags.donor === true) await throwIfRemoved(plan, journal, lookout, reading);
  const whole = await planWithTags(plan, await adoptedBefore(plan, journal, lookout), lookout);
  const standing = {before: 'old', between: 'donor', after: 'target'} as const;
  const place = flags.donor === true ? 'donor' : standing[where];
  const at = {old: plan.project.from, donor: plan.donor.path, target: plan.project.to}[place];
  return {
    ...(await compareAt(whole, place, repositories, reading)),
    transfer: {place, at, project: where, adopted: countAdopted(plan, whole)},
  };
}

/** @throws TransshipError DONOR_ABSENT where there is nothing to compare at the donor */
async function throwIfRemoved(
  plan: TransferPlan,
  journal: readonly JournalEntry[],
  {context, progress}: Parameters<typeof planWithTags>[2],
  call: Call,
): Promise<void> {
  const {donor, project, steps} = plan;
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
  if (!(await isDonorThere(plan, {context, call})))
    throw donorAbsent(plan, context, `; if it was removed on purpose, ${hint}`);
}

/** The instance of the plan, its registry logged in to. @throws TransshipError HOST_NOT_NAMED */
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
  const told = async (): Promise<string | undefined> =>
    (await access.gitlab.projects.get(plan.project.id, reading)).registryHost;
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

/** Also of a project whose repositories have no tags: they are looked at before it moves. Undefined: there is none. */
async function registryHost(
  {repositories, project: {id}}: TransferPlan,
  gitlab: GitLab,
  call: Call,
): Promise<string | undefined> {
  const planned = repositories[0]?.from.split('/')[0];
  if (planned !== undefined) return planned;
  const project = await gitlab.projects.find(id, call);
  if (project?.registryAccess === 'disabled') return undefined;
  const known = project?.registryHost;
  return known ?? (await gitlab.repositories.ofProject(id, call))[0]?.registryHost;
}

/** @throws TransshipError DONOR_UNFIT where the images would be lost with the disk of a CI job */
function throwIfLostWithJob({donor, way}: TransferPlan, {env}: Io): void {
  const isSafe = donor.kind === 'project' || donor.onThisMachine === true;
  if (way !== 'staged' || isSafe || !isCiJob(env)) return;
  throw new TransshipError(
    'DONOR_UNFIT',
    `this is a CI job, and the donor folder ${donor.path} may be deleted with it`,
    {
      side: 'local',
      hint: 'plan again with a project as --donor; or, if the folder outlives the job, with --donor-on-this-machine',
    },
  );
}

function openTransferJournal(
  {plan, file, io, session}: TransferCommand,
  journal: string,
): Promise<Journal> {
  const {id, wish, project, donor} = plan;
  const transfer = {
    gitlab: wish.gitlab,
    project: project.id,
    from: project.from,
    to: project.to,
    donor: donor.path,
    planFile: resolve(file),
  };
  const lock = projectLock(wish.gitlab, project.id, io);
  const work = {file: journal, plan: id, transfer};
  return openPlanJournal(lock === undefined ? work : {...work, projectLock: lock}, io, session);
}

async function contextOf(command: TransferCommand, journal: Journal): Promise<TransferContext> {
  const {file, flags, io, session} = command;
  const {places, limits, report} = session;
  const base = dirname(file);
  return {
    ...(await accessFor(command)),
    repositories: relativeTo(base, places),
    folderOf: (place) => folderFrom(base, place),
    journal,
    report,
    ...(limits ? {limits} : {}),
    settings: settingsOf(flags, io),
    mayDelete: consent(flags, io),
    adoptNewTags: flags.adoptNewTags === true,
    removesDonor: flags.removeDonor === true,
    patience: DEFAULT_PATIENCE,
  };
}

function consent({yes}: TransferRunFlags, {ask}: Io): TransferContext['mayDelete'] {
  if (yes === true) return () => Promise.resolve(true);
  if (ask === undefined) return undefined;
  return ({tags, repositories, project, donor}) =>
    ask(
      `The ${tags} tags in ${repositories} image repositories of ${project} will be deleted after all are verified at ${donor}. Continue?`,
    );
}
