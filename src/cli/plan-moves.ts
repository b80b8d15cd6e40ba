import type {Command} from 'commander';
import {addressOf, hasOwnToken, parseGitLabUrl} from '../gitlab/connection.ts';
import {gatherTransferFacts} from '../gitlab/preflight/gather-facts.ts';
import {gatherGroupFacts} from '../gitlab/preflight/gather-group.ts';
import type {Surroundings} from '../gitlab/preflight/surroundings.ts';
import type {GitLabAccess} from '../library/gitlab-access.ts';
import type {Session} from '../library/session.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import {TransshipError} from '../model/error.ts';
import type {FileProblem} from '../model/file-problem.ts';
import type {MoveWish, TransferPlan, TransferWish} from '../model/transfer-plan.ts';
import {strangerAmongLayouts} from '../places/layout-directory.ts';
import type {TransferMigration} from '../plan/migration/migration.ts';
import type {TransferFacts} from '../plan/transfer/facts.ts';
import {makeTransferPlan, type MoveFacts} from '../plan/transfer/transfer-plan.ts';
import {findEarlierTransfers} from './earlier-transfers.ts';
import {type GitLabFlags, openGitLab} from './gitlab-access.ts';
import type {Io} from './io.ts';
import type {HostFlags} from './options.ts';
import {type PolicyFlag, readsPlatforms} from './plan-policy.ts';
import {namedGitLab} from './plan-trust.ts';
import type {ProgressFlags} from './reporters/choose.ts';
import {withSession} from './session.ts';
import {
  directoryFrom,
  isCiJob,
  planDirectory,
  readGroupWish,
  readMoveWish,
  relativeTo,
} from './transfer-wish.ts';
import {freeBytes} from './user-directories.ts';

/** Options for planning transfers, from flags or a migration file. */
export interface PlanningFlags extends PolicyFlag {
  /** The file for the plan. */
  readonly out?: string;
  readonly createDonor?: boolean;
  readonly donorOnThisMachine?: boolean;
  readonly staged?: boolean;
  readonly freeze?: boolean;
}

/** Adds the flags of commands that plan transfers. */
export function addPlanningFlags(command: Command): Command {
  return command
    .option('--create-donor', 'transfers: create the donor project when the plan is applied')
    .option(
      '--donor-on-this-machine',
      'transfers in a CI job: confirm that the donor directory outlives the job and that "apply" runs on the same machine',
    )
    .option('--staged', 'transfers: use the donor even if GitLab could move the images itself')
    .option(
      '--freeze',
      'transfers: allow only owners to push to the old path during the move, with protection rules',
    );
}

/**
 * Errors that concern one move. The other moves are still examined, so that all problems of a file are reported
 * together.
 */
const OF_ONE_MOVE: ReadonlySet<ErrorCode> = new Set([
  'PROJECT_NOT_FOUND',
  'GROUP_NOT_FOUND',
  'NAMESPACE_NOT_FOUND',
  'DONOR_UNFIT',
  'USAGE',
]);

/**
 * Gathers the facts about each project, and plans their moves. Moves nothing.
 * @throws TransshipError the errors of `gatherTransferFacts`; for a migration file with `problems` that name the lines
 */
export async function planMoves(
  wish: TransferWish,
  flags: PlanningFlags,
  access: GitLabAccess,
  io: Io,
  session: Session,
): Promise<TransferPlan> {
  const base = planDirectory(flags.out);
  const surroundings = surroundingsOf(base, access, io, session);
  const question = {
    staged: flags.staged === true,
    createDonor: flags.createDonor === true,
    donorOnThisMachine: flags.donorOnThisMachine === true,
    freeze: flags.freeze === true,
    platforms: await readsPlatforms(flags),
  };
  const withEarlier = async (found: TransferFacts): Promise<TransferFacts> => {
    const earlier = await findEarlierTransfers(base, wish.gitlab, found.project.id, io);
    return {...found, earlier};
  };
  const facts: MoveFacts[] = [];
  const refusals: RefusedMove[] = [];
  const {reading: call} = session;
  for (const move of wish.moves) {
    try {
      if ('group' in move) {
        const group = await gatherGroupFacts({wish: move, ...question}, surroundings, call);
        facts.push({...group, projects: await Promise.all(group.projects.map(withEarlier))});
      } else {
        const found = await gatherTransferFacts({wish: move, ...question}, surroundings, call);
        facts.push(await withEarlier(found));
      }
    } catch (error) {
      if (!(error instanceof TransshipError) || move.at === undefined) throw error;
      refusals.push({error, at: move.at});
      if (!OF_ONE_MOVE.has(error.code)) break;
    }
  }
  throwRefusals(refusals);
  return makeTransferPlan(wish.gitlab, facts);
}

interface RefusedMove {
  readonly error: TransshipError;
  readonly at: NonNullable<MoveWish['at']>;
}

/** @throws TransshipError the first error, with all problems and their lines */
function throwRefusals(refusals: readonly RefusedMove[]): void {
  const [first] = refusals;
  if (first === undefined) return;
  const {code, message, side, hint, retry, status} = first.error;
  const problems = refusals.map(({error, at}): FileProblem => ({...at, message: error.message}));
  const options = {side, hint, retry, status, problems, cause: first.error};
  throw new TransshipError(code, message, options);
}

function surroundingsOf(
  base: string,
  access: GitLabAccess,
  io: Io,
  {places, report, call}: Session,
): Surroundings {
  return {
    gitlab: access.gitlab,
    tokenKind: access.tokenKind,
    openRegistry: (host, side) => access.openRegistry(host, side),
    openDonor: (name) => relativeTo(base, places).destination(name),
    freeBytes: (directory) => freeBytes(directoryFrom(base, directory)),
    strangerAt: (directory) => strangerAmongLayouts(directoryFrom(base, directory)),
    isJob: isCiJob(io.env),
    now: () => io.now().getTime(),
    trial: call,
    progress: (what, read, total) => report({type: 'observing', what, done: read, total}),
  };
}

/**
 * Plans the moves of a migration file.
 * @throws TransshipError HOST_NOT_NAMED, USAGE if the token may be that of another instance; the errors of `planMoves`
 */
export async function planTransferMigration(
  migration: TransferMigration,
  flags: PlanningFlags & GitLabFlags & HostFlags & ProgressFlags,
  io: Io,
): Promise<TransferPlan> {
  const url = parseGitLabUrl(migration.gitlab);
  throwUnlessNamed(url, migration, flags, io);
  const planning = {...flags, createDonor: flags.createDonor === true || migration.createDonor};
  return await withSession(io, flags, async (session) => {
    const access = await openGitLab({...flags, gitlab: migration.gitlab}, io, session);
    const gitlab = addressOf(access.gitlab.url);
    const wish = {gitlab, moves: wishesOf(migration, gitlab, flags.out)};
    return await planMoves(wish, planning, access, io, session);
  });
}

/**
 * A token belongs to one instance. The file may be somebody else's, so it does not decide alone where the token is
 * sent.
 */
function throwUnlessNamed(
  url: URL,
  {file, gitlab}: TransferMigration,
  flags: GitLabFlags,
  {env}: Io,
): void {
  if (flags.gitlab === undefined && flags.tokenFile === undefined && hasOwnToken(url, env)) return;
  const named = flags.gitlab || namedGitLab(env);
  const hint = `to send the token there, add --gitlab ${gitlab}`;
  if (named === undefined) {
    throw new TransshipError('HOST_NOT_NAMED', `only ${file} names the GitLab at ${gitlab}`, {
      side: 'local',
      hint,
    });
  }
  const tokenIsFor = addressOf(parseGitLabUrl(named));
  if (tokenIsFor === addressOf(url)) return;
  throw new TransshipError(
    'USAGE',
    `${file} is for the GitLab at ${gitlab}, but the token is for ${tokenIsFor}`,
    {side: 'local', hint},
  );
}

/** @throws TransshipError USAGE with the lines */
function wishesOf(
  {file, moves}: TransferMigration,
  gitlab: string,
  out: string | undefined,
): readonly MoveWish[] {
  const wishes: MoveWish[] = [];
  const refusals: RefusedMove[] = [];
  for (const {at, kind, from, to, donor} of moves) {
    const place = {file, ...at};
    try {
      const flags = {
        to,
        ...(donor === undefined ? {} : {donor}),
        ...(out === undefined ? {} : {out}),
      };
      const read = kind === 'group' ? readGroupWish : readMoveWish;
      wishes.push({...read(from, flags, gitlab), at: place});
    } catch (error) {
      if (!(error instanceof TransshipError)) throw error;
      refusals.push({error, at: place});
    }
  }
  throwRefusals(refusals);
  return withOwnDirectories(wishes);
}

/** A directory can be the donor of only one project, so several projects get separate directories below it. */
function withOwnDirectories(wishes: readonly MoveWish[]): readonly MoveWish[] {
  const users = Map.groupBy(wishes, ({donor}) => `${donor.kind} ${donor.path}`);
  return wishes.map((wish) => {
    const {donor} = wish;
    const name = 'group' in wish ? wish.group : wish.project;
    const isShared = (users.get(`${donor.kind} ${donor.path}`)?.length ?? 0) > 1;
    if (donor.kind === 'project' || !isShared) return wish;
    return {...wish, donor: {...donor, path: `${donor.path.replace(/\/$/, '')}/${name}`}};
  });
}
