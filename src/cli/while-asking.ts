import {setImmediate} from 'node:timers/promises';

/**
 * Loads what is needed only when registries have answered: after connections to them were begun, so that it takes no time
 * of its own where they are far away. Where what TLS needs has to be loaded first, it comes before that, as it would
 * without this.
 */
export async function whileAsking<T>(load: () => Promise<T>): Promise<T> {
  await setImmediate();
  return await load();
}
