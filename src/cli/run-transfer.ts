import {dirname} from 'node:path';
import {rightsAt} from '../gitlab/preflight/prove-registry.ts';
import {TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';
import {parseReference} from '../model/reference.ts';
import {applyTransfer} from '../apply/transfer/apply-transfer.ts';
import {rollbackTransfer} from '../apply/transfer/rollback-transfer.ts';
import type {TransferContext} from '../apply/transfer/transfer-context.ts';
import type {GitLab} from '../gitlab/gitlab.ts';
import type {Journal} from '../apply/journal.ts';
import {compareAt} from '../apply/transfer/verify-place.ts';
import {whereabouts} from '../apply/transfer/whereabouts.ts';
import {DEFAULT_PATIENCE} from '../gitlab/confirm.ts';
import type {RunResult, VerifyResult} from '../model/outcome.ts';
import type {TransferPlan} from '../model/transfer-plan.ts';
import {type GitLabFlags, openGitLab} from './gitlab-access.ts';
import {folderFrom, isCiJob, relativeTo} from './transfer-wish.ts';
import type {Io} from './io.ts';
import type {RunFlags} from './options.ts';
import {
  journalBeside,
  openPlanJournal,
  settingsOf,
  tellingOfStop,
  throwIfForbidden,
} from './run-plan.ts';
import type {Session} from './session.ts';

export interface TransferRunFlags extends RunFlags, GitLabFlags {
  readonly yes?: boolean;
  readonly removeDonor?: boolean;
  readonly adoptNewTags?: boolean;
}

/** Applies the plan of a transfer. @throws TransshipError the first check that forbids it */
export async function runTransfer(
  plan: TransferPlan,
  file: string,
  flags: TransferRunFlags,
  io: Io,
  session: Session,
): Promise<RunResult> {
  throwIfForbidden(plan);
  throwIfLostWithJob(plan, io);
  await using journal = await journalOf(plan, file, flags, io);
  const context = await contextOf(plan, file, journal, flags, io, session);
  return await tellingOfStop(io, session.report, () => applyTransfer(plan, context, io));
}

/** Takes a half-done transfer back. */
export async function runRollback(
  plan: TransferPlan,
  file: string,
  flags: TransferRunFlags,
  io: Io,
  session: Session,
): Promise<RunResult> {
  await using journal = await journalOf(plan, file, flags, io);
  const context = await contextOf(plan, file, journal, flags, io, session);
  return await tellingOfStop(io, session.report, () => rollbackTransfer(plan, context, io));
}

/** Compares the place where the images are to be now, or the donor. */
export async function verifyTransfer(
  plan: TransferPlan,
  file: string,
  flags: GitLabFlags & {readonly donor?: boolean},
  io: Io,
  {registries, reading}: Session,
): Promise<VerifyResult> {
  const access = await accessFor(plan, flags, io, registries, reading);
  const repositories = relativeTo(dirname(file), registries);
  if (flags.donor === true) return compareAt(plan, 'donor', repositories, reading);
  const where = await whereabouts(plan, access, reading);
  const place = {before: 'old', between: 'donor', after: 'target'} as const;
  return compareAt(plan, place[where], repositories, reading);
}

/** The instance of the plan, its registry logged in to. */
async function accessFor(
  plan: TransferPlan,
  flags: GitLabFlags,
  io: Io,
  registries: Session['registries'],
  call: Call,
): Promise<Pick<TransferContext, 'traits' | 'tagLimits'> & {readonly gitlab: GitLab}> {
  const access = await openGitLab(flags, io, registries, plan.wish.gitlab);
  const host = await registryHost(plan, access.gitlab, call);
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

function journalOf(
  {id}: TransferPlan,
  file: string,
  {journal = journalBeside(file)}: RunFlags,
  io: Io,
): Promise<Journal> {
  return openPlanJournal(journal, id, false, io);
}

async function contextOf(
  plan: TransferPlan,
  file: string,
  journal: Journal,
  flags: TransferRunFlags,
  io: Io,
  {registries, report, call}: Session,
): Promise<TransferContext> {
  const base = dirname(file);
  return {
    ...(await accessFor(plan, flags, io, registries, call)),
    repositories: relativeTo(base, registries),
    folderOf: (place) => folderFrom(base, place),
    journal,
    report,
    settings: settingsOf(flags),
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
      `The ${tags} tags in ${repositories} image repositories of ${project} will be deleted once all of them are whole at ${donor}. Go on?`,
    );
}
