import type {Digest} from '../model/digest.ts';
import {nameOf} from '../model/place.ts';
import {copiesOf, type CopyPlan, type Skip} from '../model/plan.ts';
import type {Candidate} from './candidate.ts';

/**
 * Leaves out images that an earlier plan copied, together with their attachments: each image is complete at its
 * destination. An image with a new signature is included again, because the signature is useless without it.
 * @param earlier absent: nothing is left out
 */
export function sinceEarlier(
  candidates: readonly Candidate[],
  earlier: CopyPlan | undefined,
): {readonly candidates: readonly Candidate[]; readonly skipped: readonly Skip[]} {
  if (earlier === undefined) return {candidates, skipped: []};
  const brought = broughtBy(earlier);
  const isKnown = ({source, root, digest}: Candidate): boolean =>
    brought.has(keyOf(source.repository, root.tag, digest));
  const wanted = new Set(candidates.filter((candidate) => !isKnown(candidate)));
  const byContent = new Map<string, Candidate[]>();
  for (const candidate of candidates) {
    for (const {descriptor} of candidate.graph?.manifests ?? []) {
      const key = `${candidate.source.repository} ${descriptor.digest}`;
      byContent.set(key, [...(byContent.get(key) ?? []), candidate]);
    }
  }
  // Elements that are added during the iteration are visited as well.
  for (const {source, root} of wanted) {
    const subject = root.as === 'asked' ? undefined : root.subject;
    for (const one of byContent.get(`${source.repository} ${subject ?? ''}`) ?? []) wanted.add(one);
  }
  const left = candidates.filter((candidate) => !wanted.has(candidate));
  return {
    candidates: candidates.filter((candidate) => wanted.has(candidate)),
    skipped: left.map(({source, root, digest}) => ({
      reason: 'earlier',
      from: source.repository,
      ...(root.tag === undefined ? {} : {tag: root.tag}),
      digest,
      detail: 'the earlier plan brought it',
    })),
  };
}

/** Images that a plan copied, found at the destination, or left to an earlier plan. */
function broughtBy(plan: CopyPlan): ReadonlySet<string> {
  const brought = new Set<string>();
  for (const {from, sourceTag, digest} of copiesOf(plan))
    brought.add(keyOf(from, sourceTag?.name, digest));
  for (const skip of plan.skipped) {
    if (skip.reason === 'present')
      brought.add(keyOf(skip.from, skip.sourceTag ?? skip.tag, skip.digest));
    else if (skip.reason === 'earlier' && skip.digest !== undefined)
      brought.add(keyOf(skip.from, skip.tag, skip.digest));
  }
  return brought;
}

function keyOf(from: string, tag: string | undefined, digest: Digest): string {
  return `${nameOf(from, tag, digest)} ${digest}`;
}
