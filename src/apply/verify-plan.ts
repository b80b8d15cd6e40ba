import type {VerifyResult} from '../model/outcome.ts';
import type {CopyPlan} from '../model/plan.ts';
import type {Call} from '../model/port.ts';
import type {Repositories} from './apply-context.ts';
import {compareExpected} from './compare-expected.ts';
import {byKindOfPlace} from './rehash.ts';
import {expectedBelow, type Root} from './expected.ts';

/**
 * Compares the destination with a plan, digest by digest: a registry by HEAD requests only, files by reading and
 * hashing them. Of what was there already when the plan was made only the root is known, so only that is compared.
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
  const expected = expectedBelow(roots, plan.manifests, plan.blobs);
  return {plan: plan.id, ...(await compareExpected(expected, repositories, call, byKindOfPlace()))};
}
