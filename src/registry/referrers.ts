import type {HttpAnswer} from '../http/answer.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {parseManifest} from '../model/manifest.ts';
import {OCI_INDEX} from '../model/media-type.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Connection} from './connection.ts';
import {PAGE_LIMIT, pages, unreadable} from './paging.ts';
import {errorCodes, refusal} from './refusal.ts';
import {pullScope} from './scope.ts';

/** What a registry without the referrers API says: 404 by the specification, others by experience. */
const NO_API = new Set([400, 404, 405, 406, 501]);

/** After so many 404s that are none of a registry's own, and nothing else, a host is not asked any more. */
const ENOUGH_404S = 3;

/** The referrers API of one registry (distribution-spec, "Listing Referrers"). */
export class Referrers {
  readonly #connection: Connection;
  /** 404s of a router that does not know the path; undefined: the registry knows it. */
  #foreign404s: number | undefined = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * What refers to a manifest; undefined: the registry has no referrers API. All of it is asked for: without a filter
   * `OCI-Filters-Applied` cannot cut the list.
   */
  async list(
    path: RepositoryPath,
    subject: Digest,
    call: Call,
  ): Promise<readonly Descriptor[] | undefined> {
    if (this.#foreign404s !== undefined && this.#foreign404s >= ENOUGH_404S) return undefined;
    const found = new Map<Digest, Descriptor>();
    for await (const answer of pages(this.#connection, {
      method: 'GET',
      target: `${path}/referrers/${subject}`,
      headers: {accept: OCI_INDEX},
      path,
      scopes: [pullScope(path)],
      ...call,
    })) {
      if (await this.#isUnknown(answer)) return undefined;
      if (answer.status !== 200) throw await refusal(answer);
      for (const descriptor of await readIndex(answer)) found.set(descriptor.digest, descriptor);
    }
    return [...found.values()];
  }

  async #isUnknown(answer: HttpAnswer): Promise<boolean> {
    // A web application before the registry may answer any path with its page.
    const isText = /^text\//i.test(answer.header('content-type') ?? '');
    if (answer.status === 200 && !isText) {
      this.#foreign404s = undefined;
      return false;
    }
    if (answer.status !== 200 && !NO_API.has(answer.status)) return false;
    const isForeign = answer.status === 404 && (await errorCodes(answer)).length === 0;
    if (isForeign && this.#foreign404s !== undefined) this.#foreign404s++;
    await answer.discard();
    return true;
  }
}

async function readIndex(answer: HttpAnswer): Promise<readonly Descriptor[]> {
  const {bytes, complete} = await answer.read(PAGE_LIMIT);
  if (!complete) throw unreadable(answer, `is larger than ${PAGE_LIMIT} bytes`);
  const {view} = parseManifest(bytes, OCI_INDEX, undefined, answer.request.side);
  if (view.kind === 'index') return view.manifests;
  throw unreadable(answer, 'is not an index');
}
