import type {Digest} from '../model/digest.ts';
import type {VerifyDifference, VerifyResult} from '../model/outcome.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {OBSERVE_CONCURRENCY} from '../observe/observe-source.ts';
import type {Repositories} from './apply-context.ts';
import type {Expected} from './expected.ts';

/** How it is found out whether a repository really has something. */
export interface Proof {
  /** What a tag points to is there for certain. */
  readonly hasTagged: (at: RepositoryReader) => boolean;
  readonly hasManifest: (at: RepositoryReader, digest: Digest, call: Call) => Promise<boolean>;
  readonly hasBlob: (
    at: RepositoryReader,
    blob: Expected['blobs'][number],
    call: Call,
  ) => Promise<boolean>;
}

/** By one HEAD each: a registry has checked the digest when it took the content. */
export const BY_ASKING: Proof = {
  hasTagged: () => true,
  hasManifest: async (at, digest, call) => (await at.head(digest, call)) !== undefined,
  hasBlob: (at, blob, call) => at.hasBlob(blob, call),
};

/**
 * Compares what is there with what should be, digest by digest.
 * @throws TransshipError the refusals of a registry
 */
export async function compareExpected(
  {tags, manifests, blobs}: Expected,
  repositories: Repositories,
  call: Call,
  proof: Proof = BY_ASKING,
): Promise<Omit<VerifyResult, 'plan'>> {
  const differences: VerifyDifference[] = [];
  const reader = (name: string): RepositoryReader => repositories.destination(name);
  /** What a registry names as the target of a tag, it has. */
  const named = new Set<string>();
  await mapAtOnce(tags, OBSERVE_CONCURRENCY, async ({at, tag, digest}) => {
    const actual = (await reader(at).head(tag, call))?.digest ?? null;
    if (actual !== digest) differences.push({what: 'tag', repository: at, tag, digest, actual});
    else if (proof.hasTagged(reader(at))) named.add(`${at} ${digest}`);
  });
  const others = manifests.filter(({at, digest}) => !named.has(`${at} ${digest}`));
  await mapAtOnce(others, OBSERVE_CONCURRENCY, async ({at, digest}) => {
    const there = await proof.hasManifest(reader(at), digest, call);
    if (!there) differences.push({what: 'manifest', repository: at, digest, actual: null});
  });
  await mapAtOnce(blobs, OBSERVE_CONCURRENCY, async (blob) => {
    const {at, digest} = blob;
    const there = await proof.hasBlob(reader(at), blob, call);
    if (!there) differences.push({what: 'blob', repository: at, digest, actual: null});
  });
  return {
    checked: {tags: tags.length, manifests: manifests.length, blobs: blobs.length},
    differences: differences.sort((a, b) => order(a).localeCompare(order(b), 'en')),
  };
}

function order({what, repository, tag, digest}: VerifyDifference): string {
  return `${['tag', 'manifest', 'blob'].indexOf(what)} ${repository} ${tag ?? ''} ${digest}`;
}
