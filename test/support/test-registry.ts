import {randomBytes} from 'node:crypto';
import {homedir} from 'node:os';
import type {RepositoryWriter} from '../../src/model/port.ts';
import type {Tag} from '../../src/model/reference.ts';
import {NEVER} from './streams.ts';

/**
 * The registry that TRANSSHIP_TEST_REGISTRY names, for the tests that any registry has to pass: `host/path`, with `{}`
 * where a name of its own for each repository belongs (default: below the path). Undefined: the tests start their own.
 */
export const TEST_REGISTRY: string | undefined =
  process.env['TRANSSHIP_TEST_REGISTRY'] || undefined;

/** Of this run, so that two of them do not meet. */
const RUN = `transship-test-${randomBytes(3).toString('hex')}`;
let count = 0;

/** `host/path` of a repository that nobody has used. */
export function freshRepository(registry: string): string {
  count += 1;
  const pattern = registry.includes('{}') ? registry : `${registry}/{}`;
  return pattern.replace('{}', `${RUN}-${count}`);
}

/** Where the user's logins are: the registry under test may need one. */
export function userEnvironment(): {readonly env: Record<string, string>; readonly home: string} {
  const env = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined || name === 'CI' ? [] : [[name, value] as const],
  );
  return {env: Object.fromEntries([...env, ['TRANSSHIP_NO_CACHE', '1']]), home: homedir()};
}

/** Deletes what is in a repository, as far as the registry deletes. */
export async function emptyRepository(repository: RepositoryWriter): Promise<void> {
  const call = {signal: NEVER};
  const {deleteManifest, deleteTag, tagDeletion} = repository;
  if (deleteManifest === undefined || deleteTag === undefined || tagDeletion === undefined) return;
  try {
    const way = await tagDeletion(call);
    const digests = new Set();
    for (const tag of (await repository.listTags(call)) ?? []) {
      const found = await repository.head(tag as Tag, call);
      if (way !== 'digest') await deleteTag(tag as Tag, call);
      if (found === undefined || digests.has(found.digest)) continue;
      digests.add(found.digest);
      await deleteManifest(found.digest, call);
    }
  } catch {
    // What a registry does not delete stays: its own path tells where.
  }
}
