import PQueue from 'p-queue';
import type {Digest} from '../model/digest.ts';
import type {VerifyDifference, VerifyResult} from '../model/outcome.ts';
import type {CopyPlan, PlannedManifest} from '../model/plan.ts';
import type {Call} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {OBSERVE_CONCURRENCY} from '../observe/observe-source.ts';
import type {Repositories} from './apply-context.ts';

/** What a plan says should be at its destinations: tags, and all below what it copies, each once per repository. */
interface Expected {
  readonly tags: readonly {readonly to: string; readonly tag: Tag; readonly digest: Digest}[];
  readonly manifests: readonly {readonly to: string; readonly digest: Digest}[];
  readonly blobs: readonly {readonly to: string; readonly digest: Digest}[];
}

/**
 * Compares the destination with a plan, digest by digest, by HEAD requests only. Of what was there already when the
 * plan was made only the root is known, so only that is compared.
 */
export async function verifyPlan(
  plan: CopyPlan,
  repositories: Repositories,
  call: Call,
): Promise<VerifyResult> {
  const expected = expectedOf(plan);
  const differences: VerifyDifference[] = [];
  const queue = new PQueue({concurrency: OBSERVE_CONCURRENCY});
  await queue.addAll([
    ...expected.tags.map(({to, tag, digest}) => async () => {
      const actual = (await repositories.destination(to).head(tag, call))?.digest ?? null;
      if (actual !== digest) differences.push({what: 'tag', repository: to, tag, digest, actual});
    }),
    ...expected.manifests.map(({to, digest}) => async () => {
      const there = await repositories.destination(to).head(digest, call);
      if (!there) differences.push({what: 'manifest', repository: to, digest, actual: null});
    }),
    ...expected.blobs.map(({to, digest}) => async () => {
      const there = await repositories.destination(to).hasBlob(digest, call);
      if (!there) differences.push({what: 'blob', repository: to, digest, actual: null});
    }),
  ]);
  const {tags, manifests, blobs} = expected;
  return {
    plan: plan.id,
    checked: {tags: tags.length, manifests: manifests.length, blobs: blobs.length},
    differences: differences.sort((a, b) => order(a).localeCompare(order(b), 'en')),
  };
}

function expectedOf(plan: CopyPlan): Expected {
  const planned = new Map(plan.manifests.map((manifest) => [manifest.digest, manifest]));
  const foreign = new Set(
    plan.blobs.filter(({action}) => action === 'foreign').map(({digest, to}) => `${to} ${digest}`),
  );
  const tags = new Map<string, Expected['tags'][number]>();
  const manifests = new Map<string, Expected['manifests'][number]>();
  const blobs = new Map<string, Expected['blobs'][number]>();
  const addGraph = (to: string, digest: Digest): void => {
    const key = `${to} ${digest}`;
    if (manifests.has(key)) return;
    manifests.set(key, {to, digest});
    const manifest: PlannedManifest | undefined = planned.get(digest);
    for (const blob of manifest?.blobs ?? []) {
      if (!foreign.has(`${to} ${blob}`)) blobs.set(`${to} ${blob}`, {to, digest: blob});
    }
    for (const child of manifest?.manifests ?? []) addGraph(to, child);
  };
  const present = plan.skipped.filter((skip) => skip.reason === 'present');
  for (const {to, tag, digest} of [...plan.steps, ...present]) {
    if (tag !== undefined) tags.set(`${to}:${tag}`, {to, tag, digest});
    addGraph(to, digest);
  }
  return {tags: [...tags.values()], manifests: [...manifests.values()], blobs: [...blobs.values()]};
}

function order({what, repository, tag, digest}: VerifyDifference): string {
  return `${['tag', 'manifest', 'blob'].indexOf(what)} ${repository} ${tag ?? ''} ${digest}`;
}
