import {TransshipError} from './error.ts';

/** What a run that is told to stop ends its unfinished work with. */
export function interrupted(): TransshipError {
  return new TransshipError('INTERRUPTED', 'interrupted', {
    side: 'local',
    hint: 'run the command again to resume; completed work is kept',
  });
}

/** Whether nothing failed but that the run was to stop. */
export function isInterrupted(error: unknown): boolean {
  return error instanceof TransshipError && error.code === 'INTERRUPTED';
}

/** @throws TransshipError INTERRUPTED */
export function throwIfStopping(stopping: AbortSignal): void {
  if (stopping.aborted) throw interrupted();
}
