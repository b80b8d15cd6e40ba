import {realpath} from 'node:fs/promises';
import {dirname, join, relative, resolve, sep} from 'node:path';
import type {Command} from 'commander';
import {addressOf, hasOwnToken, parseGitLabUrl} from '../gitlab/connection.ts';
import {TransshipError} from '../model/error.ts';
import {formatPlace, isLocal, parsePlace, type Place} from '../model/place.ts';
import type {Plan} from '../model/plan.ts';
import type {GitLabFlags} from './gitlab-access.ts';
import type {Io} from './io.ts';
import {collect} from './options.ts';
import {isOwnPlan} from './own-plans.ts';
import {addReviewFlags, type ReviewFlags, throwUnlessReviewed} from './plan-review.ts';
import {directoryFrom} from './transfer-wish.ts';

/** Flags of the commands that read a plan file. */
export interface TrustFlags extends GitLabFlags, ReviewFlags {
  readonly allowPath?: readonly string[];
}

export function addTrustFlags(command: Command): Command {
  return addReviewFlags(command).option(
    '--allow-path <dir>',
    'let a plan made on another machine use files below this directory (repeatable; default: the working directory)',
    collect,
  );
}

/**
 * Decides what a plan file may use of the user's tokens, logins and files. The user named the hosts and directories of
 * a plan when making it on this machine. Anybody can write another plan and compute a matching id, so such a plan may
 * use only what the user names, or confirms at a terminal.
 */
export class PlanTrust {
  readonly #isOwn: boolean;
  readonly #flags: TrustFlags;
  readonly #io: Io;

  private constructor(isOwn: boolean, flags: TrustFlags, io: Io) {
    this.#isOwn = isOwn;
    this.#flags = flags;
    this.#io = io;
  }

  /**
   * Checks that the plan is the reviewed one, if a flag identifies it, and that its files may be used.
   * @param file the plan file
   * @throws TransshipError PLAN_NOT_REVIEWED, PATH_NOT_ALLOWED, FILE_UNREADABLE, FILE_INVALID
   */
  static async of(plan: Plan, file: string, flags: TrustFlags, io: Io): Promise<PlanTrust> {
    await throwUnlessReviewed(plan, flags);
    const trust = new PlanTrust(await isOwnPlan(plan.id, io), flags, io);
    const places = localPlaces(plan);
    await trust.#checkEngines(
      places.flatMap((place) => ('file' in place ? [] : [formatPlace(place)])),
    );
    await trust.#checkFiles(filesOf(plan, places, file));
    return trust;
  }

  /**
   * Whether the GitLab instance of the plan may receive the user's token. A flag or variable that names an instance
   * decides.
   * @throws TransshipError HOST_NOT_NAMED
   */
  async checkGitLab(url: URL): Promise<void> {
    const {gitlab, tokenFile} = this.#flags;
    // A token for this instance names it, and is sent nowhere else.
    if (!gitlab && tokenFile === undefined && hasOwnToken(url, this.#io.env)) return;
    const address = addressOf(url);
    const named = gitlab || namedGitLab(this.#io.env);
    if (named !== undefined) {
      const tokenIsFor = addressOf(parseGitLabUrl(named));
      if (tokenIsFor === address) return;
      throw notNamed(
        `the plan is for the GitLab at ${address}, but the token is for ${tokenIsFor}`,
        `to send the token there, apply the plan with --gitlab ${address}`,
      );
    }
    await this.#checkHost(
      `the GitLab at ${address}`,
      'the token',
      `to send the token there, add --gitlab ${address} or set TRANSSHIP_GITLAB_HOST`,
    );
  }

  /**
   * Whether a registry of the plan may receive the login in the variables that begin with `prefix`.
   * @throws TransshipError HOST_NOT_NAMED
   */
  async checkLogin(host: string, prefix: string): Promise<void> {
    await this.#checkHost(
      `the registry ${host}`,
      `the login in ${prefix}_*`,
      `to send the login there, set ${prefix}_HOST=${host}`,
    );
  }

  /**
   * Whether the registry that a plan names may receive GitLab's token. GitLab reports the name of its registry.
   * @param told the name that GitLab reports; undefined: an old version does not report it
   * @throws TransshipError HOST_NOT_NAMED
   */
  async checkRegistry(host: string, told: () => Promise<string | undefined>): Promise<void> {
    if (this.#isOwn) return;
    const registry = await told();
    if (registry?.toLowerCase() === host.toLowerCase()) return;
    if (registry !== undefined) {
      throw notNamed(
        `the plan is for the registry ${host}, and the registry of GitLab is ${registry}`,
        'plan again: the address of the registry or the plan was changed',
      );
    }
    await this.#checkHost(
      `the registry ${host}`,
      "GitLab's token",
      `log in to it with docker login ${host}, or plan again on this machine`,
    );
  }

  async #checkHost(host: string, what: string, hint: string): Promise<void> {
    if (this.#isOwn) return;
    const {ask} = this.#io;
    const question = `This plan was not made on this machine. Send ${what} to ${host}?`;
    if (ask !== undefined && (await ask(question))) return;
    throw notNamed(`only the plan names ${host}, so ${what} is not sent there`, hint);
  }

  /** A user with access to an engine can read all of its images. A plan alone must not cause one of them to be sent. */
  async #checkEngines(images: readonly string[]): Promise<void> {
    const [first] = images;
    if (this.#isOwn || first === undefined) return;
    const {ask} = this.#io;
    const list = images.join(', ');
    const question = `This plan was not made on this machine. It reads ${list}. Continue?`;
    if (ask !== undefined && (await ask(question))) return;
    throw new TransshipError(
      'PATH_NOT_ALLOWED',
      `the plan was not made on this machine and reads ${first} from it`,
      {side: 'local', hint: 'plan again on this machine'},
    );
  }

  async #checkFiles(files: readonly string[]): Promise<void> {
    if (this.#isOwn) return;
    const {allowPath = []} = this.#flags;
    const roots = await Promise.all(['.', ...allowPath].map(realPath));
    const outside: string[] = [];
    for (const file of files) {
      const real = await realPath(file);
      if (!roots.some((root) => isBelow(real, root))) outside.push(file);
    }
    const {ask} = this.#io;
    const isAsked = files.length > 0 && allowPath.length === 0 && ask !== undefined;
    if (outside.length === 0 && !isAsked) return;
    const list = files.join(', ');
    const question = `This plan was not made on this machine. It uses the files at ${list}. Continue?`;
    if (isAsked && (await ask(question))) return;
    const [first = list] = outside;
    throw new TransshipError(
      'PATH_NOT_ALLOWED',
      `the plan was not made on this machine and uses ${first}, which is not in the working directory`,
      {side: 'local', hint: `to allow it, add --allow-path ${dirname(resolve(first))}`},
    );
  }
}

/** The GitLab instance that the environment names; undefined: it names none. */
export function namedGitLab(env: Io['env']): string | undefined {
  return env['TRANSSHIP_GITLAB_HOST'] || env['CI_SERVER_URL'] || undefined;
}

/** The fields of a plan that contain places. */
const PLACES = new Set(['from', 'to', 'mountFrom', 'donor', 'source', 'destination']);

/** All places on this machine that a plan names, each once. */
function localPlaces(plan: Plan): readonly Place[] {
  const places = new Set<string>();
  JSON.stringify(plan, (key, value: unknown) => {
    if (typeof value === 'string' && PLACES.has(key) && isLocal(value)) places.add(value);
    return value;
  });
  return [...places].map(parsePlace);
}

/** All files and directories that a plan names, each once. Donors of transfers are relative to the plan file. */
function filesOf(plan: Plan, places: readonly Place[], planFile: string): readonly string[] {
  const files = new Set(places.flatMap((place) => ('file' in place ? [place.file] : [])));
  if (plan.kind === 'copy') return [...files];
  for (const {donor} of plan.moves) if (donor.kind === 'directory') files.add(donor.path);
  return [...files].map((file) => directoryFrom(dirname(planFile), file));
}

/** The path with links resolved; if it does not exist, its existing part is resolved. */
async function realPath(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch {
    const above = dirname(absolute);
    return above === absolute ? absolute : join(await realPath(above), relative(above, absolute));
  }
}

function isBelow(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : `${root}${sep}`);
}

function notNamed(message: string, hint: string): TransshipError {
  return new TransshipError('HOST_NOT_NAMED', message, {side: 'local', hint});
}
