import type {Descriptor} from '../../model/descriptor.ts';
import {digestOf} from '../../model/digest.ts';
import {TransshipError} from '../../model/error.ts';
import {childBlobs, type Manifest} from '../../model/manifest.ts';
import type {Call, RepositoryWriter, TagLimits} from '../../model/port.ts';
import {isRepositoryPath, isTag, type RepositoryPath} from '../../model/reference.ts';
import type {TransferProblem, RegistryFacts, RepositoryFacts} from '../../plan/transfer/facts.ts';
import {hasContent, probesOf} from '../../plan/transfer/steps.ts';
import {given} from '../entities.ts';
import type {InstanceRegistry} from './surroundings.ts';

/** What moving images takes; sorted, as scopes are. */
const ACTIONS = ['delete', 'pull', 'push'] as const;
/** A tag that nobody has: a deletion of it changes nothing, and tells whether deletions are taken. */
const NO_TAG = 'transship-probe-of-deletions';

/** Permissions are per project, so one repository is enough. */
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
): Promise<'taken' | TransferProblem | undefined> {
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
        message: `the registry at ${registry.host} rejects deletions: it is read-only, or deletion is disabled (405)`,
        hint: 'wait until its maintenance is finished, or ask its administrator to enable deletion',
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

/** What is sent to the upload that is cancelled. */
const SAMPLE = Buffer.from('sent by transship to see whether uploads are taken; cancelled\n');
/** A blob that is sent once more is no larger than this, in bytes. */
const RESENT_LIMIT = 64 * 1024;

/**
 * Tries at the old path what has to work at the new one: an upload, and each kind of manifest. Of the same registry,
 * since GitLab issues tokens for the new path only after the move.
 * @returns every refusal, or `taken`; undefined: there is nothing to try it with
 * @throws TransshipError where the registry fails for now
 */
export async function proveWrites(
  repositories: readonly RepositoryFacts[],
  registry: InstanceRegistry,
  call: Call,
): Promise<'taken' | readonly TransferProblem[] | undefined> {
  const probes = probesOf(repositories);
  const at = pathAt(repositories[0]?.from, registry);
  if (at === undefined) return undefined;
  const open = (name: string): RepositoryWriter | undefined => {
    const path = pathAt(name, registry);
    return path === undefined ? undefined : registry.repository(path);
  };
  const first = probes.find(({repository}) => repository === repositories[0]?.from);
  const findings: TransferProblem[] = [];
  const attempt = async (
    code: TransferProblem['code'],
    work: () => Promise<void>,
  ): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof TransshipError) || isPassing(error)) throw error;
      findings.push({code, message: error.message, hint: error.hint});
    }
  };
  await attempt('UPLOAD_REFUSED', () =>
    proveUpload(registry.repository(at), first?.manifest, call),
  );
  if (findings.length > 0) return findings;
  for (const {repository, digest, manifest: seen} of probes) {
    const there = open(repository);
    const {bytes} = seen;
    const manifest = bytes ? {...seen, bytes} : await there?.getManifest(digest, call);
    if (manifest === undefined) continue;
    await attempt('MANIFEST_REFUSED', async () => {
      await there?.putManifest(digest, manifest, call);
    });
  }
  return findings.length === 0 ? 'taken' : findings;
}

/**
 * Begins an upload, sends some bytes and cancels it; then sends a small blob that is there already, to see that an
 * upload is closed, too. Nothing is left that was not there before.
 * @param sample a manifest of this repository; undefined: no upload is closed
 * @throws TransshipError the refusal; RESPONSE_INVALID where the bytes did not arrive
 */
export async function proveUpload(
  repository: RepositoryWriter,
  sample: Pick<Manifest, 'view'> | undefined,
  call: Call,
): Promise<void> {
  const mediaType = 'application/octet-stream';
  const blob = {mediaType, digest: digestOf(SAMPLE), size: SAMPLE.byteLength};
  const upload = await repository.beginUpload(blob, call);
  try {
    const offset = await upload.append(once(SAMPLE), SAMPLE.byteLength, call);
    if (offset !== SAMPLE.byteLength) throw notArrived(repository.name, offset);
  } finally {
    await upload.cancel(call);
  }
  const there = sample === undefined ? [] : childBlobs(sample.view);
  const small = there.find(({size}) => size > 0 && size <= RESENT_LIMIT);
  if (small !== undefined) await sendAgain(repository, small, call);
}

/**
 * The registry has the blob, so this changes nothing there. Its size is the registry's: that of a manifest may be
 * wrong.
 */
async function sendAgain(
  repository: RepositoryWriter,
  described: Descriptor,
  call: Call,
): Promise<void> {
  const size = await repository.blobSize(described.digest, call);
  if (size === undefined || size > RESENT_LIMIT) return;
  const blob = {...described, size};
  const {chunks} = await repository.openBlob(blob, {offset: 0}, call);
  const pieces: Buffer[] = [];
  for await (const chunk of chunks) pieces.push(Buffer.from(chunk));
  await repository.putBlob(blob, () => Promise.resolve(Buffer.concat(pieces)), call);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Temporary failures do not tell whether uploads work. A failing connection may be how a proxy rejects them. */
function isPassing({retry, status}: TransshipError): boolean {
  return retry && status !== undefined && status !== 404;
}

function notArrived(name: string, offset: number): TransshipError {
  return new TransshipError(
    'RESPONSE_INVALID',
    `${name}: the registry received ${offset} of ${SAMPLE.byteLength} bytes sent to an upload`,
    {
      side: 'destination',
      hint: 'the registry storage, or a proxy in front of the registry, loses data; ask the administrator',
    },
  );
}
