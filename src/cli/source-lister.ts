import {type Command, Option} from 'commander';
import {repositoriesNotListed} from '../discovery/api-list.ts';
import {catalogLister} from '../discovery/catalog.ts';
import {dockerHubLister} from '../discovery/docker-hub.ts';
import {githubLister} from '../discovery/github.ts';
import {gitlabLister} from '../discovery/gitlab.ts';
import {harborLister} from '../discovery/harbor.ts';
import {NAME_LIST_LIMIT} from '../discovery/name-list.ts';
import {quayLister} from '../discovery/quay.ts';
import {
  findSourceKind,
  type FoundKind,
  SOURCE_KINDS,
  type SourceKind,
} from '../discovery/source-kind.ts';
import {hasOwnToken, parseGitLabUrl} from '../gitlab/connection.ts';
import {readRegular} from '../http/regular-file.ts';
import {TransshipError} from '../model/error.ts';
import type {RepositoryLister} from '../model/port.ts';
import {unreadable} from '../places/file-error.ts';
import {type GitLabFlags, openGitLab} from './gitlab-access.ts';
import type {Io} from './io.ts';
import {namedGitLab} from './plan-trust.ts';
import type {Session} from './session.ts';

/** Flags of what looks for repositories at a host. */
export interface SourceFlags extends GitLabFlags {
  readonly sourceKind: 'auto' | SourceKind;
}

export function addSourceKindFlag(command: Command): Command {
  return command.addOption(
    new Option('--source-kind <kind>', 'how the host lists its repositories')
      .choices(['auto', ...SOURCE_KINDS])
      .default('auto'),
  );
}

/** GitLab's own service, whose registry is known to be its. */
const GITLAB_COM = {registry: 'registry.gitlab.com', url: 'https://gitlab.com'};

/**
 * Opens the list of a host's repositories, by the kind of host that the flags name or that it is found to be.
 * @param host as `canonicalRegistry` gives it
 * @param side whose login is used
 * @throws TransshipError REPOSITORIES_NOT_LISTED, USAGE, and what finding out throws
 */
export async function openSourceLister(
  host: string,
  flags: SourceFlags,
  io: Io,
  session: Session,
  side: 'source' | 'destination' = 'source',
): Promise<RepositoryLister> {
  const {places, http, credentials, reading: call} = session;
  const registry = places.registry(host, side);
  const found: FoundKind =
    flags.sourceKind === 'auto' ? await findSourceKind(registry, call) : {kind: flags.sourceKind};
  if (found.kind === 'gitlab') return await openGitLabLister(host, found, flags, io, session);
  if (found.kind === 'catalog') return catalogLister(registry);
  const options = {
    host,
    baseUrl: await registry.baseUrl(call),
    http,
    credentials: () => credentials.find(host, side),
    learnToken: (token: string) => io.redactor.learnShortLived(token),
  };
  return LISTERS[found.kind](options);
}

const LISTERS = {
  harbor: harborLister,
  'docker-hub': dockerHubLister,
  quay: quayLister,
  github: githubLister,
} as const;

/**
 * The GitLab of a registry, as far as the user names it; undefined: not at all.
 *
 * The token goes to the GitLab that the user names, by the flag or by a variable, if the registry agrees that it belongs to
 * that one: a CI job names the GitLab that runs it, and a migration may have several sources. A variable with a token for the
 * instance that the registry names, and the name of GitLab.com's registry, name it as well. That the registry names one is
 * no reason.
 */
export function gitlabAddress(
  host: string,
  found: FoundKind,
  flags: GitLabFlags,
  {env}: Pick<Io, 'env'>,
): string | undefined {
  const own = found.gitlab === undefined ? undefined : parseGitLabUrl(found.gitlab);
  const named = [flags.gitlab, namedGitLab(env)].find(
    (url) => url && (own === undefined || parseGitLabUrl(url).href === own.href),
  );
  return (
    named ||
    (host === GITLAB_COM.registry ? GITLAB_COM.url : undefined) ||
    (own !== undefined && hasOwnToken(own, env) ? own.href : undefined)
  );
}

async function openGitLabLister(
  host: string,
  found: FoundKind,
  flags: SourceFlags,
  io: Io,
  session: Session,
): Promise<RepositoryLister> {
  const address = gitlabAddress(host, found, flags, io);
  if (address === undefined) {
    const where = found.gitlab ?? 'https://gitlab.example.com';
    const hint = `add --gitlab ${where} and set GITLAB_TOKEN to an access token with the scope read_api`;
    throw repositoriesNotListed(host, 'GitLab lists the repositories of this registry', hint);
  }
  const access = await openGitLab({...flags, gitlab: address}, io, session);
  return gitlabLister({
    host,
    gitlab: access.gitlab,
    isOwnRegistry: () => void access.openRegistry(host),
  });
}

/** A list of names that somebody wrote, not yet parsed. */
export interface NameListText {
  /** For messages. */
  readonly name: string;
  readonly text: string;
}

/**
 * Reads a list of repositories, for `parseNameList`.
 * @param file `-`: what is piped in
 * @throws TransshipError FILE_UNREADABLE, FILE_INVALID
 */
export async function readNameList(file: string, io: Io): Promise<NameListText> {
  const bytes =
    file === '-'
      ? await readStdin(io)
      : await readRegular(file, NAME_LIST_LIMIT, {pipe: true}).catch((cause: unknown) => {
          throw unreadable(file, cause);
        });
  return {name: file === '-' ? 'stdin' : file, text: Buffer.from(bytes).toString()};
}

async function readStdin({stdin}: Io): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of stdin?.() ?? []) {
    size += piece.byteLength;
    if (size > NAME_LIST_LIMIT) break;
    pieces.push(piece);
  }
  if (size <= NAME_LIST_LIMIT) return Buffer.concat(pieces);
  throw new TransshipError('FILE_INVALID', `stdin has more than ${NAME_LIST_LIMIT} bytes`, {
    side: 'local',
    hint: 'write one repository per line, and nothing else',
  });
}
