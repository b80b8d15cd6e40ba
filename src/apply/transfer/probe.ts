import {TransshipError} from '../../model/error.ts';
import {proveUpload} from '../../gitlab/preflight/prove-writes.ts';
import type {TransferPlan, TransferStep} from '../../model/transfer-plan.ts';
import {whyLimited} from '../../plan/transfer/rule-pattern.ts';
import type {OldTag} from './old-tags.ts';
import {DONE, PRESENT, type StepEnd} from './step-end.ts';
import type {TransferRun} from './transfer-context.ts';

/**
 * Proves once more, just before the first deletion, that the registry takes what has to be pushed after the move. A
 * manifest that an earlier run deleted and the registry no longer has cannot be tried, and was tried by that run.
 * @throws TransshipError the refusal
 */
export async function probe(
  step: TransferStep & {readonly kind: 'probe'},
  {context, call, progress}: TransferRun,
): Promise<StepEnd> {
  if (progress.where !== 'before') return PRESENT;
  const {repositories} = context;
  const [first] = step.manifests.filter(({repository}) => repository === step.uploadsTo);
  const uploads = repositories.destination(step.uploadsTo);
  const sample = first && (await uploads.getManifest(first.digest, call));
  await proveUpload(uploads, sample, call);
  for (const {repository, digest} of step.manifests) {
    const at = repositories.destination(repository);
    const manifest = await at.getManifest(digest, call);
    if (manifest !== undefined) await at.putManifest(digest, manifest, call);
  }
  return DONE;
}

/**
 * Rules that only the registry's own token shows: with one that protects some of the tags, the others would be deleted
 * and the project could not move.
 * @throws TransshipError PROTECTED naming the first tag that it protects
 */
export async function throwIfProtected(
  {project}: TransferPlan,
  tags: readonly OldTag[],
  {context, call}: TransferRun,
): Promise<void> {
  const byRepository = Map.groupBy(tags, ({repository}) => repository);
  for (const [repository, own] of byRepository) {
    const limits = await context.tagLimits(repository, call);
    for (const {tag} of limits === undefined ? [] : own) {
      const why = limits && whyLimited(limits, tag);
      if (why === undefined) continue;
      throw new TransshipError(
        'PROTECTED',
        `the registry does not let this token move ${repository}:${tag}: ${why}`,
        {
          side: 'gitlab',
          hint: `no tag was deleted by this step. Remove the rule from ${project.from} for the time of the move, then apply again; or roll back`,
        },
      );
    }
  }
}
