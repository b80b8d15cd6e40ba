import type {HttpResponse} from '../http/response.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {descriptors} from '../model/manifest.ts';
import {OCI_INDEX} from '../model/media-type.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import {z} from '../model/schema.ts';
import type {RegistryConnection} from './connection.ts';
import {Manifests} from './manifests.ts';
import {type ListLimits, readList, readPage, invalidList} from './paging.ts';
import {errorCodes, registryRefusal} from './refusal.ts';
import {pullScope} from './scope.ts';

/** Statuses of registries without the referrers API: 404 according to the specification, the others from practice. */
const NO_API = new Set([400, 404, 405, 406, 501]);

/**
 * After this many responses that are not from a referrers API, without a valid one, no more are requested from the
 * host.
 */
const ENOUGH_FAILURES = 3;

/** Total pauses for an API that has not yet responded successfully, in ms: some always answer 429. */
const PATIENCE_MS = 10_000;

/** Far above the referrers of any real manifest: daily scans add a few hundred per year. */
const REFERRER_LIMITS: ListLimits = {items: 10_000, bytes: 16 * 1024 * 1024};

const indexSchema = z.object({manifests: descriptors});

/** The referrers API of one registry (distribution-spec, "Listing Referrers"). */
export class Referrers {
  readonly #connection: RegistryConnection;
  /** Number of responses that are not from a referrers API; undefined: the registry has the API. */
  #failures: number | undefined = 0;
  /** Whether the latest response other than a refusal came from a redirect target. */
  #isElsewhere = false;

  constructor(connection: RegistryConnection) {
    this.#connection = connection;
  }

  /**
   * The referrers of a manifest that was read; undefined: the registry has no referrers API. The whole list is
   * requested, without a filter. A host whose API has never responded correctly, although the manifest itself can be
   * read, counts as a host without it: web applications and proxies in front of registries answer unknown paths with
   * pages, redirects, 401, 403, 429 and 500.
   * @throws TransshipError if an API that responded before fails, and for an endless list
   */
  async list(
    path: RepositoryPath,
    subject: Digest,
    call: Call,
  ): Promise<readonly Descriptor[] | undefined> {
    if (this.#failures !== undefined && this.#failures >= ENOUGH_FAILURES) return undefined;
    try {
      return await this.#request(path, subject, call);
    } catch (error) {
      if (!(await this.#isUnusable(error, path, subject, call))) throw error;
      const failure = error as TransshipError;
      if (failure.code === 'RATE_LIMITED' && !this.#isElsewhere) {
        // The registry may have limited all requests: reading the manifest shows that it accepts them again.
        const again = await this.#request(path, subject, call).catch(() => undefined);
        call.signal.throwIfAborted();
        if (again) return again;
        this.#failures = ENOUGH_FAILURES;
      }
      this.#connection.featureNotUsed('referrers', failure.message, 'referrers are found by tag');
      return undefined;
    }
  }

  async #request(
    path: RepositoryPath,
    subject: Digest,
    call: Call,
  ): Promise<readonly Descriptor[] | undefined> {
    const found = await readList<Descriptor>(this.#connection, {
      first: {
        method: 'GET',
        target: `${path}/referrers/${subject}`,
        headers: {accept: OCI_INDEX},
        path,
        scopes: [pullScope(path)],
        ...(this.#failures === undefined ? {} : {budgetMs: PATIENCE_MS}),
        ...call,
      },
      isOfNames: false,
      limits: REFERRER_LIMITS,
      keyOf: ({digest}) => digest,
      read: (response) => this.#readIndex(response),
    });
    return found && [...found.values()];
  }

  async #readIndex(response: HttpResponse): Promise<readonly Descriptor[] | undefined> {
    if (NO_API.has(response.status)) {
      const isForeign = response.status === 404 && (await errorCodes(response)).length === 0;
      if (isForeign && this.#failures !== undefined) this.#failures++;
      await response.discard();
      return undefined;
    }
    this.#isElsewhere = this.#connection.isElsewhere(response);
    if (response.status !== 200) throw await registryRefusal(response);
    const index = indexSchema.safeParse(await readPage(response));
    if (!index.success) throw invalidList(response, 'is not an index', index.error);
    this.#failures = undefined;
    return index.data.manifests;
  }

  /**
   * Whether only the referrers API fails: a failure of the registry or the network would affect the manifest, too. The
   * manifest is read by GET, because registries that limit pulls still answer HEAD.
   */
  async #isUnusable(
    failure: unknown,
    path: RepositoryPath,
    subject: Digest,
    call: Call,
  ): Promise<boolean> {
    call.signal.throwIfAborted();
    if (this.#failures === undefined || !(failure instanceof TransshipError)) return false;
    if (failure.code === 'INTERRUPTED') return false;
    const manifests = new Manifests(this.#connection, path);
    const isReadable = await manifests.get(subject, call).then(
      (found) => found !== undefined,
      () => false,
    );
    call.signal.throwIfAborted();
    if (isReadable && this.#failures !== undefined) this.#failures++;
    return isReadable;
  }
}
