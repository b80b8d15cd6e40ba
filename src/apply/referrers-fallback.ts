import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {parseJson} from '../model/json.ts';
import {type Manifest, parseManifest} from '../model/manifest.ts';
import {OCI_INDEX} from '../model/media-type.ts';
import type {Call, Repositories, RepositoryWriter} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {fallbackTag} from '../observe/listed-referrer.ts';

/**
 * Maintains the fallback tags of registries without referrers API: the client lists the referrers of a manifest in an
 * index under the tag `<algorithm>-<hex>` (distribution-spec, "Referrers Tag Schema").
 */
export class ReferrersFallback {
  readonly #repositories: Repositories;
  /** The latest addition by subject: additions run one after the other, since they would overwrite each other. */
  readonly #last = new Map<string, Promise<void>>();

  constructor(repositories: Repositories) {
    this.#repositories = repositories;
  }

  /** Adds a referrer. @throws TransshipError DESTINATION_CONFLICT if the tag is used for something else */
  async add(
    to: string,
    subject: Digest,
    referrer: Descriptor,
    annotations: Readonly<Record<string, string>> | undefined,
    call: Call,
  ): Promise<void> {
    const key = `${to} ${subject}`;
    const before = this.#last.get(key) ?? Promise.resolve();
    const listed = {...referrer, ...(annotations ? {annotations} : {})};
    const added = before.then(() =>
      addTo(this.#repositories.destination(to), subject, listed, call),
    );
    this.#last.set(
      key,
      added.catch(() => undefined),
    );
    await added;
  }
}

async function addTo(
  destination: RepositoryWriter,
  subject: Digest,
  referrer: Descriptor,
  call: Call,
): Promise<void> {
  const tag = fallbackTag(subject);
  const present = await destination.getManifest(tag, call);
  const index = present && usableIndex(present, subject, destination.name, tag);
  const manifests = (index?.['manifests'] ?? []) as {readonly digest?: unknown}[];
  if (manifests.some(({digest}) => digest === referrer.digest)) return;
  const next = {
    ...(index ?? {schemaVersion: 2, mediaType: OCI_INDEX}),
    manifests: [...manifests, referrer],
  };
  const bytes = new TextEncoder().encode(JSON.stringify(next));
  await destination.putManifest(tag, parseManifest(bytes, OCI_INDEX, undefined, 'local'), call);
}

/**
 * The index under a fallback tag, as JSON, so that fields we do not know are kept. A registry that answers with the
 * subject itself (seen on GitLab.com: oras-go#1396) or anything else has no index there that we may write over.
 */
function usableIndex(
  present: Manifest,
  subject: Digest,
  name: string,
  tag: Tag,
): Record<string, unknown> | undefined {
  if (present.descriptor.mediaType === OCI_INDEX && present.descriptor.digest !== subject) {
    return parseJson(present.bytes) as Record<string, unknown>;
  }
  throw new TransshipError('DESTINATION_CONFLICT', `${name}:${tag} is not a list of referrers`, {
    side: 'destination',
    hint: 'the tag points to something else there; delete it, then apply again',
  });
}
