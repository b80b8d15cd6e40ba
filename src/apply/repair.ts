import type {Digest} from '../model/digest.ts';
import type {SeenManifest} from '../model/manifest.ts';
import {childBlobs} from '../model/manifest.ts';
import type {StepResult, VerifyDifference} from '../model/outcome.ts';
import type {BlobAction, CopyPlan, CopyStep, PlannedManifest} from '../model/plan.ts';
import {nameOf} from '../model/place.ts';
import type {Call, Repositories} from '../model/port.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {ManifestReader} from '../observe/manifest-reader.ts';
import {OBSERVE_CONCURRENCY} from '../observe/observe-source.ts';
import {plannedManifest} from '../plan/copy-plan.ts';
import type {CopyContext, Interruption} from './apply-context.ts';
import {runCopies} from './copy-run.ts';
import {type Expected, expectation, type PlacedImage, placedImages} from './verify-plan.ts';

/**
 * Copies missing or damaged content of the destination again from the source of the plan, including content below a
 * manifest that exists. Damaged content is sent, too, but registries that keep existing content of a digest do not
 * replace it; the next comparison shows that. A tag that has another digest is not changed.
 * @param differences the result of comparing with the plan
 * @returns the result of each image with differences
 * @throws TransshipError the refusals of the source, if an image has to be read again
 */
export async function repairPlan(
  plan: CopyPlan,
  differences: readonly VerifyDifference[],
  context: CopyContext,
  interruption: Interruption,
): Promise<readonly StepResult[]> {
  const {stopping, aborted} = interruption;
  const call = {signal: AbortSignal.any([stopping, aborted])};
  const wrong = new Map(differences.map((one) => [keyOf(one), one]));
  const images = placedImages(plan).filter(
    ({root: {at, tag}}) =>
      tag === undefined || (wrong.get(`tag ${at} ${tag}`)?.actual ?? null) === null,
  );
  const graph = await graphOf(plan, images, context.repositories, call);
  const expected = expectation([...graph.manifests.values()], [...graph.blobs.values()]);
  const copies: CopyStep[] = [];
  const actions = new Map<string, BlobAction>();
  for (const {root, from} of images) {
    const {at: to, tag, digest} = root;
    const parts = expected([root]);
    const blobs = parts.blobs.filter((one) => wrong.has(`blob ${to} ${one.digest}`));
    const manifests = toPut(parts, wrong, graph);
    const isUntagged = tag !== undefined && wrong.has(`tag ${to} ${tag}`);
    if (manifests.length + blobs.length === 0 && !isUntagged) continue;
    for (const blob of blobs) {
      const known = graph.blobs.get(blob.digest);
      if (known === undefined) continue;
      actions.set(`${blob.digest} ${to}`, {...known, from, to, action: 'copy'});
    }
    copies.push({
      kind: 'copy',
      id: `repair:${nameOf(to, tag, digest)}`,
      from,
      to,
      digest,
      ...(tag !== undefined && isUntagged ? {tag} : {}),
      replaces: null,
      // The root is last, and always pushed, since its parts are reached through it.
      manifests: [...manifests.filter((one) => one !== digest), digest],
      needs: [],
      why: 'it is not as planned at the destination',
      estimate: {bytes: 0, requests: 0},
    });
  }
  const manifests = [...graph.manifests.values()];
  const work = {copies, manifests, blobs: [...actions.values()], done: new Set<string>()};
  const {steps} = await runCopies(work, context, interruption);
  return steps;
}

/** Manifests with differences in themselves or their blobs, and those above them, children first. */
function toPut(
  {manifests}: Expected,
  wrong: ReadonlyMap<string, VerifyDifference>,
  graph: Graph,
): readonly Digest[] {
  const found = new Set<Digest>();
  for (const {at, digest} of manifests.toReversed()) {
    const {blobs = [], manifests: children = []} = graph.manifests.get(digest) ?? {};
    const isWrong = wrong.has(`manifest ${at} ${digest}`);
    const hasWrong = blobs.some((blob) => wrong.has(`blob ${at} ${blob}`));
    if (isWrong || hasWrong || children.some((child) => found.has(child))) found.add(digest);
  }
  return [...found];
}

function keyOf({what, repository, tag, digest}: VerifyDifference): string {
  return what === 'tag' ? `tag ${repository} ${tag ?? ''}` : `${what} ${repository} ${digest}`;
}

/** All manifests below the images, and their blobs. */
interface Graph {
  readonly manifests: ReadonlyMap<Digest, PlannedManifest>;
  readonly blobs: ReadonlyMap<Digest, BlobAction>;
}

/** The graph from the plan, or from the source for images that were present when planning. */
async function graphOf(
  plan: CopyPlan,
  images: readonly PlacedImage[],
  repositories: Repositories,
  call: Call,
): Promise<Graph> {
  const manifests = new Map(plan.manifests.map((manifest) => [manifest.digest, manifest]));
  const blobs = new Map(plan.blobs.map((blob) => [blob.digest, blob]));
  const unknown = Map.groupBy(
    images.filter(({root}) => !manifests.has(root.digest)),
    ({from}) => from,
  );
  for (const [from, own] of unknown) {
    const reader = new ManifestReader(repositories.source(from), new Map(), {
      concurrency: OBSERVE_CONCURRENCY,
      keepsIndexes: false,
    });
    const digests = new Set(own.map(({root}) => root.digest));
    await mapAtOnce(digests, OBSERVE_CONCURRENCY, (digest) => reader.readImage(digest, call));
    for (const manifest of reader.manifests.values()) {
      const planned = plannedManifest(manifest);
      manifests.set(planned.digest, planned);
      for (const blob of blobsOf(manifest, from))
        if (!blobs.has(blob.digest)) blobs.set(blob.digest, blob);
    }
  }
  return {manifests, blobs};
}

function blobsOf({view}: SeenManifest, from: string): readonly BlobAction[] {
  return childBlobs(view).map(({digest, mediaType, size, urls}) => ({
    digest,
    mediaType,
    size,
    from,
    to: from,
    action: urls === undefined ? 'copy' : 'foreign',
  }));
}
