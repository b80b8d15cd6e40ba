import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import {isRepositoryPath, isTag, type RepositoryPath} from '../../model/reference.ts';
import type {
  Finding,
  RegistryFacts,
  RepositoryFacts,
  TagLimits,
} from '../../plan/transfer/facts.ts';
import {hasContent} from '../../plan/transfer/steps.ts';
import {given} from '../given.ts';
import type {InstanceRegistry} from './surroundings.ts';

/** What moving images takes; sorted, as scopes are. */
const ACTIONS = ['delete', 'pull', 'push'] as const;
/** A tag that nobody has: a deletion of it changes nothing, and tells whether deletions are taken. */
const NO_TAG = 'transship-probe-of-deletions';

/** Rights are those of the project, so one repository stands for all. */
export async function proveRegistry(
  {deletesTags}: RegistryFacts,
  repositories: readonly RepositoryFacts[],
  opened: InstanceRegistry,
  call: Call,
): Promise<Pick<RegistryFacts, 'missingActions' | 'tagLimits' | 'deletion'>> {
  const path = pathAt(repositories.find(hasContent)?.from, opened);
  if (path === undefined) return {};
  const rights = await rightsAt(opened, path, call);
  const mayDelete = deletesTags && rights?.missing.includes('delete') !== true;
  return given({
    missingActions: rights?.missing,
    tagLimits: rights?.tagLimits,
    deletion: mayDelete ? await tryDeletion(opened, path, call) : undefined,
  });
}

/** What a token of the registry allows. */
interface Rights {
  /** What of pulling, pushing and deleting it does not. */
  readonly missing: readonly string[];
  readonly tagLimits?: TagLimits;
}

/**
 * What the registry lets this token do; undefined: it does not tell. Asking for pushes may make GitLab create a record,
 * so this is asked only for what there is, or what will be written.
 */
export async function rightsAt(
  registry: Pick<InstanceRegistry, 'granted'>,
  path: RepositoryPath,
  call: Call,
): Promise<Rights | undefined> {
  const resource = `repository:${path}`;
  const ask = async (actions: readonly string[]): Promise<Rights | undefined> => {
    const granted = await registry.granted(path, {resource, actions}, call);
    if (granted === undefined) return undefined;
    const grant = granted.find((one) => one.resource === resource);
    const allowed = grant?.actions ?? [];
    const has = (action: string) => allowed.includes('*') || allowed.includes(action);
    const missing = ACTIONS.filter((action) => !has(action));
    return {missing, ...(grant?.tagLimits ? {tagLimits: grant.tagLimits} : {})};
  };
  try {
    return await ask(ACTIONS);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    // A protected path is refused as a whole when a push is asked for.
    return ask(['delete', 'pull']).catch((again: unknown) => {
      if (isRefusal(again)) return {missing: ACTIONS};
      throw again;
    });
  }
}

/** Whether the registry takes deletions, as far as can be seen without one; undefined: it cannot be seen. */
async function tryDeletion(
  registry: InstanceRegistry,
  path: RepositoryPath,
  call: Call,
): Promise<'taken' | Finding | undefined> {
  const {deleteTag} = registry.repository(path);
  if (deleteTag === undefined || !isTag(NO_TAG)) return undefined;
  try {
    await deleteTag(NO_TAG, call);
    return 'taken';
  } catch (error) {
    if (!(error instanceof TransshipError)) throw error;
    // Rules are read from GitLab, which names them.
    if (error.code === 'PROTECTED') return undefined;
    if (error.status === 405) {
      return {
        code: 'REGISTRY_READ_ONLY',
        message: `the registry at ${registry.host} takes no deletions: it is read-only, or they are switched off (405)`,
        hint: 'wait until its maintenance is over, or have its administrator enable deletion',
      };
    }
    if (!isRefusal(error)) throw error;
    const {code, message, hint} = error;
    return {code, message, hint};
  }
}

/**
 * How far the clocks are from each other, in ms.
 * @param ahead of this machine's clock, each at the moment when it was told
 */
export function clockFacts(ahead: {
  readonly registry: number | undefined;
  readonly gitlab: number | undefined;
}): Pick<RegistryFacts, 'aheadOfGitLabMs' | 'gitlabAheadMs'> {
  const {registry, gitlab} = ahead;
  if (gitlab === undefined) return {};
  return given({
    aheadOfGitLabMs: registry === undefined ? undefined : registry - gitlab,
    gitlabAheadMs: gitlab,
  });
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof TransshipError &&
    (error.code === 'UNAUTHORIZED' || error.code === 'FORBIDDEN' || error.code === 'PROTECTED')
  );
}

/** The path of a repository on this registry; undefined: it is elsewhere, or cannot be. */
export function pathAt(
  name: string | undefined,
  {host}: InstanceRegistry,
): RepositoryPath | undefined {
  const path = name?.slice(host.length + 1);
  return path !== undefined && isRepositoryPath(path) ? path : undefined;
}
