import {randomBytes} from 'node:crypto';
import {TransshipError} from '../model/error.ts';
import type {Call, TagDeletion} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Registry} from '../registry/registry.ts';
import {deleteScope, pushScope} from '../registry/scope.ts';
import {attempted, failed, type Finding, passed, warned} from './examination.ts';
import {ManifestTrial} from './manifest-trial.ts';
import {UploadTrial} from './upload-trial.ts';

/** What is written is removed also after a signal, in this time, in ms. */
const REMOVAL_MS = 30_000;

export interface WritingOptions {
  /** The URL of the registry's API. */
  readonly base: URL;
  /** The largest request that is tried, in bytes; 1 MiB or more. */
  readonly mostBody: number;
}

/**
 * What can be written in a repository, and deleted again. All manifests and tags that it makes are deleted at the end,
 * also after a signal; blobs, some hundred KiB, too, where the registry deletes blobs.
 */
export async function checkWriting(
  registry: Registry,
  path: RepositoryPath,
  {base, mostBody}: WritingOptions,
  call: Call,
): Promise<readonly Finding[]> {
  const {signal} = call;
  const config = Buffer.from(
    JSON.stringify({os: 'linux', architecture: 'amd64', trial: randomBytes(8).toString('hex')}),
  );
  const layer = randomBytes(64);
  const uploads = new UploadTrial(registry, path, base, call);
  const manifests = new ManifestTrial(registry.repository(path), config, layer, call);
  const findings: Finding[] = [...(await checkPermissions(registry, path, call))];
  try {
    // First: where it leads elsewhere, all else fails for that reason.
    findings.push(...(await attempted('location', signal, () => uploads.location())));
    const one = await attempted('upload', signal, async () => {
      await uploads.put(config);
      return passed('upload', 'a blob in one request', 'yes');
    });
    findings.push(...one);
    if (one.some(({result}) => result === 'fail')) return findings;
    findings.push(...(await attempted('chunks', signal, () => uploads.chunks(layer))));
    if (findings.some(({check, brief}) => check === 'chunks' && brief === 'yes')) {
      findings.push(...(await attempted('cut', signal, () => uploads.cut())));
      const bodies = await attempted('largest-body', signal, () => uploads.largestBody(mostBody));
      findings.push(...bodies);
    }
    findings.push(...(await attempted('mount', signal, () => uploads.mount(config))));
    const {way, finding} = await deletionWay(registry, path, call);
    findings.push(...finding, ...(await manifests.manifests(way !== undefined)));
    if (way !== undefined)
      findings.push(...(await attempted('delete-tag', signal, () => manifests.deletion(way))));
  } finally {
    const removal = {signal: AbortSignal.timeout(REMOVAL_MS)};
    const left = await manifests.removeRest(removal);
    if (left.length > 0)
      findings.push(
        warned(
          'left-behind',
          `${left.length} manifests without a tag could not be deleted`,
          'they go with the garbage collection of untagged manifests',
        ),
      );
    findings.push(
      ...(await attempted('delete-blob', removal.signal, () => uploads.remove(removal))),
    );
  }
  return findings;
}

/** What the token allows of what writing needs. */
async function checkPermissions(
  registry: Registry,
  path: RepositoryPath,
  call: Call,
): Promise<readonly Finding[]> {
  return await attempted('token', call.signal, async () => {
    const wanted = [pushScope(path), deleteScope(path)];
    const actions = new Set<string>();
    for (const scope of wanted) {
      const granted = await registry.granted(path, scope, call);
      if (granted === undefined) return [];
      const own = granted.find(({resource}) => resource === scope.resource);
      for (const action of own?.actions ?? []) actions.add(action);
    }
    if (actions.has('*') || (actions.has('push') && actions.has('delete')))
      return passed('token', 'the token allows to push and to delete');
    if (actions.has('push'))
      return warned(
        'token',
        'the token allows to push, and not to delete',
        'to delete tags, use a token with the scope api (GitLab), or one that may delete',
      );
    return failed(
      'token',
      'the token does not allow to push',
      'use a token with read_registry and write_registry of a member with the Developer role or higher',
    );
  });
}

/** How tags are deleted; found out before anything is pushed that would have to be deleted. */
async function deletionWay(
  registry: Registry,
  path: RepositoryPath,
  call: Call,
): Promise<{readonly way: TagDeletion | undefined; readonly finding: readonly Finding[]}> {
  try {
    return {way: await registry.repository(path).tagDeletion(call), finding: []};
  } catch (error) {
    call.signal.throwIfAborted();
    if (!(error instanceof TransshipError)) throw error;
    const finding = warned(
      'delete-tag',
      `nothing can be deleted: ${error.message}`,
      error.code === 'UNSUPPORTED_BY_REGISTRY'
        ? 'have deletion enabled (storage.delete.enabled), if tags are to be deleted'
        : error.hint,
      'no',
    );
    return {way: undefined, finding: [finding]};
  }
}
