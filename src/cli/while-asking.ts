import {setImmediate} from 'node:timers/promises';

/**
 * Loads what is needed only when registries have answered: after the first requests were begun, so that it takes no time of
 * its own where they are far away.
 */
export async function whileAsking<T>(load: () => Promise<T>): Promise<T> {
  await setImmediate();
  return await load();
}
