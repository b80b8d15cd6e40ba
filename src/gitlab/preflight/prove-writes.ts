import type {Descriptor} from '../../model/descriptor.ts';
import {digestOf} from '../../model/digest.ts';
import {TransshipError} from '../../model/error.ts';
import {childBlobs, type Manifest} from '../../model/manifest.ts';
import type {Call, RepositoryWriter} from '../../model/port.ts';
import type {Finding, RepositoryFacts} from '../../plan/transfer/facts.ts';
import {probesOf} from '../../plan/transfer/steps.ts';
import {pathAt} from './prove-registry.ts';
import type {InstanceRegistry} from './surroundings.ts';

/** What is sent to the upload that is cancelled. */
const SAMPLE = Buffer.from('sent by transship to see whether uploads are taken; cancelled\n');
/** A blob that is sent once more is no larger than this, in bytes. */
const RESENT_LIMIT = 64 * 1024;

/**
 * Tries at the old path what has to work at the new one: an upload, and each kind of manifest. Of the same registry,
 * since a token for the new path is to be had only once the project is there.
 * @returns every refusal, or `taken`; undefined: there is nothing to try it with
 * @throws TransshipError where the registry fails for now
 */
export async function proveWrites(
  repositories: readonly RepositoryFacts[],
  registry: InstanceRegistry,
  call: Call,
): Promise<'taken' | readonly Finding[] | undefined> {
  const probes = probesOf(repositories);
  const at = pathAt(repositories[0]?.from, registry);
  if (at === undefined) return undefined;
  const open = (name: string): RepositoryWriter | undefined => {
    const path = pathAt(name, registry);
    return path === undefined ? undefined : registry.repository(path);
  };
  const first = probes.find(({repository}) => repository === repositories[0]?.from);
  const findings: Finding[] = [];
  const attempt = async (code: Finding['code'], work: () => Promise<void>): Promise<void> => {
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

/** The registry has the blob, so this changes nothing there. */
async function sendAgain(
  repository: RepositoryWriter,
  blob: Descriptor,
  call: Call,
): Promise<void> {
  if (!(await repository.hasBlob(blob, call))) return;
  const {chunks} = await repository.openBlob(blob, {offset: 0}, call);
  const pieces: Buffer[] = [];
  for await (const chunk of chunks) pieces.push(Buffer.from(chunk));
  await repository.putBlob(blob, () => Promise.resolve(Buffer.concat(pieces)), call);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A registry that wants to be left alone for now says nothing of uploads; a connection that fails may be its word. */
function isPassing({retry, status}: TransshipError): boolean {
  return retry && status !== undefined && status !== 404;
}

function notArrived(name: string, offset: number): TransshipError {
  return new TransshipError(
    'RESPONSE_INVALID',
    `${name}: of ${SAMPLE.byteLength} bytes that were sent to an upload the registry has ${offset}`,
    {
      side: 'destination',
      hint: 'a proxy in front of the registry, or its storage, loses what is sent; ask its administrator',
    },
  );
}
