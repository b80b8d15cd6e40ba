import type {VerifyDifference, VerifyResult} from '../model/outcome.ts';
import {type BlobAction, copiesOf, type CopyPlan, type PlannedManifest} from '../model/plan.ts';
import {childBlobs} from '../model/manifest.ts';
import type {Call, Repositories, RepositoryReader} from '../model/port.ts';
import {headComparable} from '../observe/observe-destination.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {ManifestReader} from '../observe/manifest-reader.ts';
import {OBSERVE_CONCURRENCY} from '../observe/observe-source.ts';
import {plannedManifest} from '../plan/copy-plan.ts';
import type {Digest} from '../model/digest.ts';
import type {Tag} from '../model/reference.ts';
import {BY_ASKING, byKindOfPlace, isWhole, type Proof} from './proof.ts';

/**
 * Compares the destination with a plan, digest by digest: a registry by HEAD requests, files by reading and hashing
 * them. For images that were present when planning, the plan has only the root, so the manifests below it are read
 * first.
 * @param proof how to verify content. Default: as above
 */
export async function verifyCopies(
  plan: CopyPlan,
  repositories: Repositories,
  call: Call,
  proof?: Proof,
): Promise<VerifyResult> {
  const {differences, checked} = await verifyRoots(
    placedImages(plan).map(({root}) => root),
    plan,
    repositories,
    call,
    proof,
  );
  return {plan: plan.id, checked, differences};
}

/** An image that a plan copies or found present. */
export interface PlacedImage {
  readonly root: Root;
  /** The source repository. */
  readonly from: string;
}

export function placedImages(plan: CopyPlan): readonly PlacedImage[] {
  const present = plan.skipped.filter((skip) => skip.reason === 'present');
  return [...copiesOf(plan), ...present].map(({from, to, tag, digest}) => ({
    from,
    root: {at: to, digest, ...(tag === undefined ? {} : {tag})},
  }));
}

/** The result of comparing some images with the destination. */
export interface VerifiedRoots extends Omit<VerifyResult, 'plan'> {
  /** The first difference of one of the images; undefined: it is complete. */
  readonly wrongWith: (root: Root) => VerifyDifference | undefined;
}

/**
 * Compares some of a plan's images, copied or present, with the destination.
 * @param proof as in `verifyCopies`
 * @throws TransshipError the refusals of a registry
 */
export async function verifyRoots(
  roots: readonly Root[],
  plan: CopyPlan,
  repositories: Repositories,
  call: Call,
  proof = byKindOfPlace(),
): Promise<VerifiedRoots> {
  const below = await readBelow(roots, plan, repositories, call);
  const expected = expectation(
    [...plan.manifests, ...below.manifests],
    [...plan.blobs, ...below.blobs],
  );
  const result = await compareExpected(expected(roots), repositories, call, proof);
  const wrong = new Map(
    result.differences.map((one) => [placeOf(one.repository, one.tag, one.digest), one]),
  );
  const wrongWith = (root: Root): VerifyDifference | undefined => {
    if (wrong.size === 0) return undefined;
    const {tags, manifests, blobs} = expected([root]);
    const parts = [
      ...tags.map(({at, tag, digest}) => placeOf(at, tag, digest)),
      ...[...manifests, ...blobs].map(({at, digest}) => placeOf(at, undefined, digest)),
    ];
    return parts.map((part) => wrong.get(part)).find((one) => one !== undefined);
  };
  return {...result, wrongWith};
}

function placeOf(at: string, tag: Tag | undefined, digest: Digest): string {
  return `${at} ${tag ?? ''} ${digest}`;
}

/** Reads the manifests below roots that are not in the plan. Unreadable ones are reported by the comparison. */
async function readBelow(
  roots: readonly Root[],
  plan: CopyPlan,
  repositories: Repositories,
  call: Call,
): Promise<{readonly manifests: PlannedManifest[]; readonly blobs: ExpectedBlob[]}> {
  const known = new Set(plan.manifests.map(({digest}) => digest));
  const unknown = Map.groupBy(
    roots.filter(({digest}) => !known.has(digest)),
    ({at}) => at,
  );
  const manifests: PlannedManifest[] = [];
  const blobs: ExpectedBlob[] = [];
  for (const [at, images] of unknown) {
    const reader = new ManifestReader(repositories.destination(at), new Map(), {
      concurrency: OBSERVE_CONCURRENCY,
      keepsIndexes: false,
    });
    const digests = new Set(images.map(({digest}) => digest));
    await mapAtOnce(digests, OBSERVE_CONCURRENCY, async (digest) => {
      await isWhole(async () => (await reader.readImage(digest, call)) !== undefined);
    });
    for (const manifest of reader.manifests.values()) {
      manifests.push(plannedManifest(manifest));
      // A foreign layer need not be at the destination.
      for (const {digest, size, urls} of childBlobs(manifest.view))
        blobs.push({digest, size, to: at, action: urls === undefined ? 'present' : 'foreign'});
    }
  }
  return {manifests, blobs};
}

/** The content that should exist: tags, and everything below them, each once per repository. */
export interface Expected {
  readonly tags: readonly {readonly at: string; readonly tag: Tag; readonly digest: Digest}[];
  readonly manifests: readonly {readonly at: string; readonly digest: Digest}[];
  readonly blobs: readonly {readonly at: string; readonly digest: Digest; readonly size: number}[];
}

/** A manifest at a repository, `host/path` or a transport with a file, with its tag, if any. */
export interface Root {
  readonly at: string;
  readonly tag?: Tag;
  readonly digest: Digest;
}

/** A blob that should exist. */
export type ExpectedBlob = Pick<BlobAction, 'digest' | 'to' | 'size' | 'action'>;

/**
 * The content that should exist for some roots, found by walking down from each. For a root that is not in `manifests`,
 * only the root itself is expected.
 * @param blobs for their sizes; `foreign` ones are not expected
 */
export function expectation(
  manifests: readonly PlannedManifest[],
  blobs: readonly ExpectedBlob[],
): (roots: readonly Root[]) => Expected {
  const planned = new Map(manifests.map((manifest) => [manifest.digest, manifest]));
  const sizes = new Map(blobs.map(({digest, size}) => [digest, size]));
  const foreign = new Set(
    blobs.filter(({action}) => action === 'foreign').map(({digest, to}) => `${to} ${digest}`),
  );
  return (roots) => walkDown(roots, planned, sizes, foreign);
}

function walkDown(
  roots: readonly Root[],
  planned: ReadonlyMap<Digest, PlannedManifest>,
  sizes: ReadonlyMap<Digest, number>,
  foreign: ReadonlySet<string>,
): Expected {
  const tags = new Map<string, Expected['tags'][number]>();
  const found = new Map<string, Expected['manifests'][number]>();
  const below = new Map<string, Expected['blobs'][number]>();
  const visit = (at: string, digest: Digest): void => {
    const key = `${at} ${digest}`;
    if (found.has(key)) return;
    found.set(key, {at, digest});
    const manifest = planned.get(digest);
    for (const blob of manifest?.blobs ?? []) {
      if (foreign.has(`${at} ${blob}`)) continue;
      below.set(`${at} ${blob}`, {at, digest: blob, size: sizes.get(blob) ?? 0});
    }
    for (const child of manifest?.manifests ?? []) visit(at, child);
  };
  for (const {at, tag, digest} of roots) {
    if (tag !== undefined) tags.set(`${at}:${tag}`, {at, tag, digest});
    visit(at, digest);
  }
  return {tags: [...tags.values()], manifests: [...found.values()], blobs: [...below.values()]};
}

/** The result of a comparison, without the plan. */
export type Compared = Omit<VerifyResult, 'plan' | 'projects'>;

/**
 * Compares existing content with the expected one, digest by digest.
 * @throws TransshipError the refusals of a registry
 */
export async function compareExpected(
  {tags, manifests, blobs}: Expected,
  repositories: Repositories,
  call: Call,
  proof: Proof = BY_ASKING,
): Promise<Compared> {
  proof.begins?.(blobs);
  const differences: VerifyDifference[] = [];
  const reader = (name: string): RepositoryReader => repositories.destination(name);
  /** Manifests that a registry names as the target of a tag, and therefore has. */
  const named = new Set<string>();
  await mapAtOnce(tags, OBSERVE_CONCURRENCY, async ({at, tag, digest}) => {
    const actual = (await headComparable(reader(at), tag, digest, call)) ?? null;
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
