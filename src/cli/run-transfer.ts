import {applyTransfer} from '../apply/transfer/apply-transfer.ts';
import {countAdopted, planWithAdopted} from '../apply/transfer/adopt-tags.ts';
import {removeDonor} from '../apply/transfer/remove-donor.ts';
import {rollbackTransfer} from '../apply/transfer/rollback-transfer.ts';
import type {TransferContext} from '../apply/transfer/transfer-context.ts';
import type {GitLab} from '../gitlab/gitlab.ts';
import {throwIfJobToken} from '../gitlab/gitlab-token.ts';
import {adoptedIn, type Journal} from '../apply/journal.ts';
import {readJournal} from '../apply/journal-file.ts';
import {compareAt} from '../apply/transfer/verify-place.ts';
import {whereabouts} from '../apply/transfer/whereabouts.ts';
import {DEFAULT_PATIENCE} from '../gitlab/confirm.ts';
import type {RunResult, VerifyResult} from '../model/outcome.ts';
import type {TransferPlan} from '../model/transfer-plan.ts';
import {type GitLabFlags, openPlannedGitLab} from './gitlab-access.ts';
import type {Io} from './io.ts';
import type {RunFlags} from './options.ts';
import type {PlanTrust} from './plan-trust.ts';
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
  trust: PlanTrust,
): Promise<RunResult> {
  throwIfForbidden(plan);
  await using journal = await journalOf(plan, file, flags, io, session);
  const context = await contextOf(plan, journal, flags, io, session, trust);
  const result = await tellingOfStop(io, session.report, () => applyTransfer(plan, context, io));
  if (result.result === 'done' && flags.removeDonor === true) {
    const {call} = session;
    const lookout = {context, call, progress: {where: 'after'}} as const;
    await removeDonor(await planWithAdopted(plan, journal.adopted, lookout), context, call);
  }
  return result;
}

/** Takes a half-done transfer back. */
export async function runRollback(
  plan: TransferPlan,
  file: string,
  flags: TransferRunFlags,
  io: Io,
  session: Session,
  trust: PlanTrust,
): Promise<RunResult> {
  await using journal = await journalOf(plan, file, flags, io, session);
  const context = await contextOf(plan, journal, flags, io, session, trust);
  return await tellingOfStop(io, session.report, () => rollbackTransfer(plan, context, io));
}

/**
 * Compares the place where the images are to be now, or the donor; tags that were taken along after planning are part of
 * it.
 */
export async function verifyTransfer(
  plan: TransferPlan,
  file: string,
  flags: GitLabFlags & {readonly donor?: boolean},
  io: Io,
  session: Session,
  trust: PlanTrust,
): Promise<VerifyResult> {
  const {registries, reading} = session;
  const {gitlab} = await accessFor(plan, flags, io, session, trust);
  const where = await whereabouts(plan, {gitlab}, reading);
  const lookout = {
    context: {repositories: registries, gitlab},
    call: reading,
    progress: {where},
  };
  const journal = await readJournal(journalBeside(file));
  const whole = await planWithAdopted(plan, adoptedIn(journal), lookout);
  const places = {before: 'old', between: 'donor', after: 'target'} as const;
  const place = flags.donor === true ? 'donor' : places[where];
  const at = {old: plan.project.from, donor: plan.donor.path, target: plan.project.to}[place];
  return {
    ...(await compareAt(whole, place, registries, reading)),
    transfer: {place, at, project: where, adopted: countAdopted(plan, whole)},
  };
}

/** The instance of the plan, its registry logged in to. @throws TransshipError HOST_NOT_NAMED */
async function accessFor(
  plan: TransferPlan,
  flags: GitLabFlags,
  io: Io,
  {registries, reading}: Session,
  trust: PlanTrust,
): Promise<Pick<TransferContext, 'traits'> & {readonly gitlab: GitLab}> {
  const access = await openPlannedGitLab(plan, trust, flags, io, registries);
  throwIfJobToken(access.tokenKind);
  const [host = ''] = plan.repositories[0]?.from.split('/') ?? [];
  const told = async (): Promise<string | undefined> =>
    (await access.gitlab.projects.get(plan.project.id, reading)).registryHost;
  if (host !== '') await trust.checkRegistry(host, told);
  const registry = host === '' ? undefined : access.openRegistry(host);
  return {
    gitlab: access.gitlab,
    traits: async (call) => (await registry?.traits(call)) ?? {deletesTags: false, database: false},
  };
}

function journalOf(
  {id, wish, project, donor}: TransferPlan,
  file: string,
  {journal = journalBeside(file)}: RunFlags,
  io: Io,
  {report}: Session,
): Promise<Journal> {
  const transfer = {
    gitlab: wish.gitlab,
    project: project.id,
    from: project.from,
    to: project.to,
    donor: donor.path,
    planFile: file,
  };
  return openPlanJournal({file: journal, plan: id, transfer}, io, report);
}

async function contextOf(
  plan: TransferPlan,
  journal: Journal,
  flags: TransferRunFlags,
  io: Io,
  session: Session,
  trust: PlanTrust,
): Promise<TransferContext> {
  const {registries, report} = session;
  return {
    ...(await accessFor(plan, flags, io, session, trust)),
    repositories: registries,
    journal,
    report,
    settings: settingsOf(flags, io),
    mayDelete: consent(flags, io),
    adoptNewTags: flags.adoptNewTags === true,
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
