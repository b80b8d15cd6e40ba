import {TransshipError} from '../model/error.ts';
import type {ErrorCode} from '../model/error-codes.ts';

/** What a registry says of one repository, or of something in it. */
const OF_ONE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'REPOSITORY_NOT_FOUND',
  'TAG_NOT_FOUND',
  'FORBIDDEN',
  'MANIFEST_NOT_FOUND',
  'MANIFEST_INVALID',
  'MANIFEST_TOO_LARGE',
  'MANIFEST_DIGEST_MISMATCH',
  'CONFIG_TOO_LARGE',
  'REGISTRY_REFUSED',
  'RESPONSE_INVALID',
]);

/** Repositories of a host that fail with a server error before any other answers: then it is the host that fails. */
const HOST_FAILS_AT = 4;

/**
 * Tells the failure of one repository among many, which says nothing about the others, from that of a host or of this
 * machine, after which nobody gains by asking on.
 */
export class RepositoryFailures {
  readonly #answered = new Set<string>();
  readonly #serverErrors = new Map<string, number>();

  /** @param repository `host/path` */
  answered(repository: string): void {
    this.#answered.add(hostOf(repository));
  }

  /**
   * The failure of one repository.
   * @throws the error itself if it concerns more than this repository
   */
  ofOne(repository: string, error: unknown): TransshipError {
    if (!(error instanceof TransshipError)) throw error;
    if (OF_ONE.has(error.code)) return error;
    // One source may be closed to a login. A destination that wants another login wants it for all.
    if (error.code === 'UNAUTHORIZED' && error.side === 'source') return error;
    // A registry fails like this for a repository whose storage is damaged.
    if (error.code !== 'REGISTRY_UNAVAILABLE' || error.status !== 500) throw error;
    const host = hostOf(repository);
    const count = (this.#serverErrors.get(host) ?? 0) + 1;
    this.#serverErrors.set(host, count);
    if (count >= HOST_FAILS_AT && !this.#answered.has(host)) throw error;
    return error;
  }
}

function hostOf(repository: string): string {
  return repository.slice(0, repository.indexOf('/'));
}
