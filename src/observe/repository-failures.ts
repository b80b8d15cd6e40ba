import {TransshipError} from '../model/error.ts';
import type {ErrorCode} from '../model/error-codes.ts';

/** Errors that concern one repository, or something in it. */
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

/**
 * If this many repositories of a host fail with a server error before any succeeds, the host itself counts as failing.
 */
const HOST_FAILS_AT = 4;

/**
 * Distinguishes the failure of one of many repositories, after which the others are still read, from that of a host or
 * of this machine, which ends the reading.
 */
export class RepositoryFailures {
  readonly #answered = new Set<string>();
  readonly #serverErrors = new Map<string, number>();

  /** Records that a repository was read. @param repository `host/path` */
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
    // A login may have no access to one source. A destination that rejects a login rejects it for all repositories.
    if (error.code === 'UNAUTHORIZED' && error.side === 'source') return error;
    // Registries answer 500 for a repository with damaged storage.
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
