import type {VerifyResult} from '../model/outcome.ts';
import type {CopyPlan, PlannedManifest} from '../model/plan.ts';
import {childBlobs} from '../model/manifest.ts';
import type {Call} from '../model/port.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {ManifestReader} from '../observe/manifest-reader.ts';
import {OBSERVE_CONCURRENCY} from '../observe/observe-source.ts';
import {plannedManifest} from '../plan/planned-manifest.ts';
import type {Repositories} from './apply-context.ts';
import {compareExpected} from './compare-expected.ts';
import {byKindOfPlace, isWhole} from './rehash.ts';
import {type ExpectedBlob, expectedBelow, type Root} from './expected.ts';

/**
 * Compares the destination with a plan, digest by digest: a registry by HEAD requests, files by reading and hashing them.
 * Of an image that was there already when the plan was made the plan knows only the root: what is below is read first.
 */
export async function verifyPlan(
  plan: CopyPlan,
  repositories: Repositories,
  call: Call,
): Promise<VerifyResult> {
  const present = plan.skipped.filter((skip) => skip.reason === 'present');
  const roots = [...plan.steps, ...present].map(({to, tag, digest}): Root => {
    return {at: to, digest, ...(tag === undefined ? {} : {tag})};
  });
  const below = await readBelow(roots, plan, repositories, call);
  const expected = expectedBelow(
    roots,
    [...plan.manifests, ...below.manifests],
    [...plan.blobs, ...below.blobs],
  );
  return {plan: plan.id, ...(await compareExpected(expected, repositories, call, byKindOfPlace()))};
}

/** What the destination has below the roots that the plan does not know; what cannot be read is found wrong later. */
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
      manifests.push(plannedManifest(manifest, undefined));
      // A layer that may be elsewhere need not be here.
      for (const {digest, size, urls} of childBlobs(manifest.view))
        blobs.push({digest, size, to: at, action: urls === undefined ? 'present' : 'foreign'});
    }
  }
  return {manifests, blobs};
}
