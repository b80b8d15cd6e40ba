import type {Carriage} from '../../model/transfer-plan.ts';

/** Guesses, on the careful side, in seconds. */
const SECONDS = {
  /** To delete one tag and see that it is gone. */
  deletedTag: 0.15,
  /** One transfer or change of path, seen by everybody. */
  move: 5,
  /** One request of many that go on side by side. */
  request: 0.02,
  /** One image after the other, for the order of their dates. */
  image: 0.1,
} as const;
/** Bytes a second that a machine sends to its registry. */
const RATE = 25 * 1024 * 1024;

/**
 * How long the images are at neither path: from the first deleted tag to the last one pushed, in seconds, rounded up.
 * @param tags that are deleted and pushed again
 * @param moves calls that move the project
 */
export function downtimeSeconds(push: Carriage, tags: number, moves: number): number {
  const {copies, blobs} = push;
  const bytes = blobs.reduce((sum, {action, size}) => sum + (action === 'copy' ? size : 0), 0);
  const manifests = copies.reduce((sum, step) => sum + step.manifests.length, 0);
  return Math.ceil(
    tags * SECONDS.deletedTag +
      moves * SECONDS.move +
      (blobs.length + manifests) * SECONDS.request +
      copies.length * SECONDS.image +
      bytes / RATE,
  );
}
