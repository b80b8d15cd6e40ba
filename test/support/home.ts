import {afterAll} from 'vitest';
import {type TempDirectory, tempDirectory} from './temp.ts';

let home: Promise<TempDirectory> | undefined;

afterAll(async () => {
  await (await home)?.[Symbol.asyncDispose]();
});

/**
 * A home without logins, the same for all of a test file: a plan that was made in it counts as made on this machine.
 */
export async function sharedHome(): Promise<string> {
  home ??= tempDirectory();
  return (await home).path;
}
