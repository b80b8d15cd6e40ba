import type {Digest} from '../model/digest.ts';
import type {PlannedManifest} from '../model/plan.ts';
import type {Tag} from '../model/reference.ts';
import type {DestinationInventory, SourceInventory, SourceRoot} from '../observe/inventory.ts';
import type {ManifestGraph} from './graph.ts';

/** One source repository and where it goes. */
export interface Route {
  readonly source: SourceInventory;
  readonly destination: DestinationInventory;
  /** One tag or digest was named, not a repository: leaving it out is then no choice but a failure. */
  readonly single?: boolean;
}

/** A root that may be copied: the filters let it pass and the source has all of it. */
export interface Candidate {
  readonly source: SourceInventory;
  readonly destination: DestinationInventory;
  readonly root: SourceRoot;
  /** The tag at the destination; undefined: by digest only. */
  readonly tag: Tag | undefined;
  /** What is to be at the destination: the root's digest, or what `--platform` makes of it. */
  readonly digest: Digest;
  /** What hangs below `digest`; undefined: not read, since it is at the destination already. */
  readonly graph: ManifestGraph | undefined;
  readonly cutFrom: PlannedManifest['cutFrom'];
}

/** `host/path:tag` or `host/path@digest`: the name of what a candidate makes at the destination. */
export function targetOf({destination, tag, digest}: Candidate): string {
  return nameOf(destination.repository, tag, digest);
}

/** The tag that a root gets at the destination. */
export function destinationTag(root: SourceRoot): Tag | undefined {
  return root.as === 'asked' ? (root.toTag ?? root.tag) : root.tag;
}

/** `host/path:tag`, without a tag `host/path@digest`. */
export function nameOf(
  repository: string,
  tag: string | undefined,
  digest: Digest | undefined,
): string {
  if (tag !== undefined) return `${repository}:${tag}`;
  return digest === undefined ? repository : `${repository}@${digest}`;
}
