import {abortable} from '../http/abort.ts';
import {repositoriesNotListed} from '../discovery/api-list.ts';
import {catalogLister} from '../discovery/catalog.ts';
import {dockerHubLister} from '../discovery/docker-hub.ts';
import {githubLister} from '../discovery/github.ts';
import {gitlabLister} from '../discovery/gitlab.ts';
import {harborLister} from '../discovery/harbor.ts';
import {NAME_LIST_LIMIT} from '../discovery/name-list.ts';
import {quayLister} from '../discovery/quay.ts';
import {findSourceKind, type FoundKind, type SourceKind} from '../discovery/source-kind.ts';
import {parseGitLabUrl} from '../gitlab/connection.ts';
import {readRegular} from '../http/regular-file.ts';
import {TransshipError} from '../model/error.ts';
import type {RepositoryLister} from '../model/port.ts';
import {unreadable} from '../places/file-error.ts';
import type {Session} from './session.ts';

/**
 * Opens the list of a host's repositories, by the kind of host that is named or that it is found to be.
 * @param host as `canonicalRegistry` gives it
 * @param sourceKind `auto`: it is found out
 * @param side whose login is used
 * @throws TransshipError REPOSITORIES_NOT_LISTED, USAGE, and what finding out throws
 */
export async function openSourceLister(
  host: string,
  sourceKind: 'auto' | SourceKind,
  session: Session,
  side: 'source' | 'destination' = 'source',
): Promise<RepositoryLister> {
  const {places, http, credentials, redactor, reading: call} = session;
  const registry = places.registry(host, side);
  const found: FoundKind =
    sourceKind === 'auto' ? await findSourceKind(registry, call) : {kind: sourceKind};
  if (found.kind === 'gitlab') return await openGitLabLister(host, found, session);
  if (found.kind === 'catalog') return catalogLister(registry);
  const options = {
    host,
    baseUrl: await registry.baseUrl(call),
    http,
    credentials: () => abortable(credentials.find(host, side), call.signal),
    learnToken: (token: string) => redactor.learnShortLived(token),
  };
  return LISTERS[found.kind](options);
}

const LISTERS = {
  harbor: harborLister,
  'docker-hub': dockerHubLister,
  quay: quayLister,
  github: githubLister,
} as const;

async function openGitLabLister(
  host: string,
  found: FoundKind,
  session: Session,
): Promise<RepositoryLister> {
  const {gitlabs} = session;
  const address = gitlabs.addressOf(host, found);
  if (address === undefined) {
    const where = found.gitlab ?? 'https://gitlab.example.com';
    const hint = `add --gitlab ${where} and set GITLAB_TOKEN to an access token with the scope read_api`;
    throw repositoriesNotListed(host, 'GitLab lists the repositories of this registry', hint);
  }
  const access = await gitlabs.open(parseGitLabUrl(address), session);
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
export async function readNameList(
  file: string,
  source: {readonly stdin?: Session['stdin']},
): Promise<NameListText> {
  const bytes =
    file === '-'
      ? await readStdin(source)
      : await readRegular(file, NAME_LIST_LIMIT, {pipe: true}).catch((cause: unknown) => {
          throw unreadable(file, cause);
        });
  return {name: file === '-' ? 'stdin' : file, text: Buffer.from(bytes).toString()};
}

async function readStdin({stdin}: {readonly stdin?: Session['stdin']}): Promise<Uint8Array> {
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
