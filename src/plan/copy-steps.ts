import {type Digest, shortDigest} from '../model/digest.ts';
import {attachmentSubject, type Candidate} from './candidate.ts';
import {ByPlace} from './by-place.ts';
import {copyId, usualReason} from './plan-tables.ts';
import type {Conversion} from '../model/conversion.ts';
import type {Presence} from './presence.ts';
import type {UncostedCopy} from './totals.ts';

/**
 * The copies of the candidates, in their order, except that an image that refers to a manifest of another copy comes
 * after it.
 * @param candidates those that are not yet at the destination
 */
export function copySteps(
  candidates: readonly Candidate[],
  presence: Presence,
): readonly UncostedCopy[] {
  const providers = new ByPlace<Digest, Candidate>();
  for (const candidate of candidates) {
    const to = candidate.destination.repository;
    for (const {descriptor} of candidate.graph?.manifests ?? []) {
      if (!providers.has(to, descriptor.digest)) providers.set(to, descriptor.digest, candidate);
    }
  }
  const steps = new Map<Candidate, UncostedCopy>();
  const entered = new Set<Candidate>();
  const before = (candidate: Candidate): Candidate | undefined => {
    const subject = subjectOf(candidate);
    return subject && providers.get(candidate.destination.repository, subject);
  };
  for (const first of candidates) {
    // Not by recursion: signatures of signatures may be a long chain.
    const chain: Candidate[] = [];
    for (let next: Candidate | undefined = first; next && !entered.has(next); next = before(next)) {
      entered.add(next);
      chain.push(next);
    }
    for (const candidate of chain.reverse()) {
      const other = before(candidate);
      // Not there yet: two artifacts that refer to each other's parts. One of them has to be first.
      const needed = other && other !== candidate ? steps.get(other) : undefined;
      steps.set(candidate, stepOf(candidate, presence, needed ? [needed.id] : []));
    }
  }
  return [...steps.values()];
}

function stepOf(candidate: Candidate, presence: Presence, needs: readonly string[]): UncostedCopy {
  const {source, destination, root, tag, digest, graph} = candidate;
  const to = destination.repository;
  const digests = graph?.manifests.map(({descriptor}) => descriptor.digest) ?? [];
  return {
    kind: 'copy',
    id: copyId(to, tag, digest),
    from: source.repository,
    to,
    digest,
    ...(tag === undefined ? {} : {tag}),
    ...(root.tag === undefined ? {} : {sourceTag: {name: root.tag, digest: root.digest}}),
    replaces: presence.tagged(candidate),
    manifests: digests.filter((one) => one === digest || !presence.has(to, one)),
    needs,
    why: whyOf(candidate, presence),
  };
}

/** The manifest that has to be pushed before, because a referrer is useless without its subject. */
function subjectOf({root, tag, graph}: Candidate): Digest | undefined {
  if (root.as !== 'asked') return root.subject;
  const view = graph?.manifests.at(-1)?.view;
  const subject = view === undefined || view.kind === 'schema1' ? undefined : view.subject;
  return subject?.digest ?? attachmentSubject(tag ?? '');
}

const CONVERTED: Readonly<Record<Conversion['kind'], string>> = {
  schema1: 'converted from schema 1,',
  'foreign-layers': 'converted from foreign layers,',
  index: 'converted from foreign layers,',
};

function whyOf(candidate: Candidate, presence: Presence): string {
  const {source, root, tag, digest, destination} = candidate;
  if (root.as === 'referrer') return `refers to ${shortDigest(root.subject)}`;
  if (root.as === 'signature') return `belongs to ${shortDigest(root.subject)}`;
  const conversion = candidate.conversions?.get(digest);
  if (conversion !== undefined) return `${CONVERTED[conversion.kind]} ${shortDigest(root.digest)}`;
  if (source.whyNewDigests !== undefined) return `new digest: ${source.whyNewDigests}`;
  const replaces = presence.tagged(candidate);
  const isUntagged = replaces === null && presence.has(destination.repository, digest);
  return tag !== undefined && isUntagged ? 'there without the tag' : usualReason(replaces);
}
