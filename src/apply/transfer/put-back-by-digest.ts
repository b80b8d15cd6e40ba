import {TransshipError} from '../../model/error.ts';
import type {Drift} from '../../model/outcome.ts';
import type {Manifest} from '../../model/manifest.ts';
import type {RepositoryWriter} from '../../model/port.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import {donorAbsent} from './donor.ts';
import {type OldTag} from './old-tags.ts';
import {DONE, PRESENT, type StepEnd} from './step-end.ts';
import type {TransferRun} from './transfer-context.ts';

/**
 * Puts tags back at the old path without the donor: a deleted tag leaves its manifest, which GitLab's registry keeps
 * until it collects garbage, with a database for a day at least (GitLab container registry:
 * docs/spec/gitlab/online-garbage-collection.md, `review_after`). Putting the same bytes under the tag is enough.
 * @throws TransshipError DONOR_ABSENT once all that the registry still has is back, where that is not all
 */
export async function putBackByDigest(plan: TransferPlan, run: TransferRun): Promise<StepEnd> {
  const {context, call} = run;
  const lost: OldTag[] = [];
  const drift: Drift[] = [];
  let back = 0;
  for (const old of wanted(plan, run)) {
    const {repository, tag, digest} = old;
    const at = context.repositories.destination(repository);
    const now = await at.head(tag, call);
    if (now !== undefined) {
      if (now.digest !== digest)
        drift.push({side: 'destination', repository, tag, planned: null, actual: now.digest});
      continue;
    }
    const manifest = await at.getManifest(digest, call);
    if (manifest !== undefined && (await isTaken(at, old, manifest, run))) back += 1;
    else lost.push(old);
  }
  const [first] = lost;
  if (first !== undefined) {
    const {message, hint, side} = donorAbsent(plan, context);
    const others = lost.length > 1 ? ` and ${lost.length - 1} more tags` : '';
    throw new TransshipError(
      'DONOR_ABSENT',
      `${message}, and the registry no longer has ${first.repository}:${first.tag}${others}`,
      {side, hint: `${back} tags were put back. ${hint}`},
    );
  }
  if (drift.length > 0) return {end: 'drift', drift};
  return back > 0 ? DONE : PRESENT;
}

/** What was planned, and what was taken along and deleted since; the latest word on a tag counts. */
function wanted({repositories}: TransferPlan, {context}: TransferRun): Iterable<OldTag> {
  const planned = repositories.flatMap(({from, tags}) =>
    tags.map(({name, digest}): OldTag => ({repository: from, tag: name, digest})),
  );
  const all = [...planned, ...context.journal.unfinished.deleted.values()];
  return new Map(all.map((old) => [`${old.repository}:${old.tag}`, old])).values();
}

/** False: the registry has lost a part of it. */
async function isTaken(
  at: RepositoryWriter,
  {tag}: OldTag,
  manifest: Manifest,
  {call}: TransferRun,
): Promise<boolean> {
  try {
    await at.putManifest(tag, manifest, call);
    return true;
  } catch (error) {
    if (error instanceof TransshipError && error.code === 'MANIFEST_PARTS_MISSING') return false;
    throw error;
  }
}
