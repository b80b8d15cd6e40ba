import type {Carriage} from '../../model/transfer-plan.ts';

/** What is announced of a run that carries this: its images, and the blobs that have to travel with their bytes. */
export interface RunSize {
  readonly steps: number;
  readonly blobs: number;
  readonly bytes: number;
}

/** Adds up what is carried in one direction or in both. */
export function sizeOf(carriages: readonly Carriage[]): RunSize {
  const copied = carriages.flatMap(({blobs}) => blobs.filter(({action}) => action === 'copy'));
  return {
    steps: carriages.reduce((sum, {copies}) => sum + copies.length, 0),
    blobs: copied.length,
    bytes: copied.reduce((sum, {size}) => sum + size, 0),
  };
}
