import {execFile} from 'node:child_process';
import {access, constants} from 'node:fs/promises';
import {delimiter, join} from 'node:path';
import {daemonAddress, downloadFromDaemon} from '../http/local-daemon.ts';
import type {Environment} from '../http/proxy.ts';
import {TransshipError} from '../model/error.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {temporaryFolder} from './durable-file.ts';
import {OciLayout} from './oci-layout.ts';
import {readOnlyImage} from './read-archive.ts';
import {TarArchive} from './tar-archive.ts';

// Images that a container engine on this machine has. Most of them keep neither manifests nor compressed layers as they came.

/** An image of an engine, in files that exist as long as it is open. */
export interface EngineImage {
  readonly reader: RepositoryReader;
  close(): Promise<void>;
}

export interface EngineOptions {
  /** The image as the engine knows it: `busybox:1.35`, or an id `sha256:…`. */
  readonly ref: string;
  /** What the image is called in the reader. */
  readonly name: string;
  readonly env: Environment;
  /** Gets the names of temporary folders, as long as they are there. */
  readonly temporary: Set<string>;
}

/**
 * Gets an image from a daemon by the Engine API of Docker, `GET /images/{name}/get`. What it sends cannot be read twice,
 * so it is stored in the temporary folder.
 * @throws TransshipError TAG_NOT_FOUND, and what connecting gives
 */
export async function openDaemonImage(
  place: string,
  {ref, name, env, temporary}: EngineOptions,
  {signal}: Call,
): Promise<EngineImage> {
  const address = daemonAddress(env);
  // A name without a tag means all of its tags to docker.
  const asked = name.startsWith(`${ref}:`) ? name : ref;
  const archive = await TarArchive.open(place, temporary, signal, async (file) => {
    const missing = await downloadFromDaemon(address, `/images/${asked}/get`, file, signal);
    if (missing === undefined) return;
    throw new TransshipError('TAG_NOT_FOUND', `${place} does not exist: ${missing}`, {
      side: 'source',
      hint: 'check the name with "docker images", and DOCKER_HOST',
    });
  });
  const close = () => archive.close();
  return {reader: await readOnlyImage(place, archive, name), close};
}

/** How a program copies an image into a layout. */
type CopyProgram = readonly [program: string, args: (ref: string, to: string) => readonly string[]];

/** In the order in which they are looked for. */
const PROGRAMS: readonly CopyProgram[] = [
  ['podman', (ref, to) => ['push', '--quiet', ref.replace(/^@/, ''), to]],
  // The image is on this machine already: no policy says what may come from there.
  [
    'skopeo',
    (ref, to) => ['--insecure-policy', 'copy', '--quiet', `containers-storage:${ref}`, to],
  ],
];

/** Characters that are quoted of a program's words. */
const QUOTE_LIMIT = 500;
const OUTPUT_LIMIT = 1024 * 1024;

/**
 * Gets an image from the storage of podman, buildah and CRI-O (containers-storage.conf(5)) by podman or skopeo, as an
 * image layout in the temporary folder. They compress its layers as they do when they push it.
 * @throws TransshipError TRANSPORT_UNSUPPORTED where there is neither, TAG_NOT_FOUND, FILE_UNREADABLE
 */
export async function openStoredImage(
  place: string,
  {ref, name, env, temporary}: EngineOptions,
  {signal}: Call,
): Promise<EngineImage> {
  const program = await findProgram(env);
  await using parts = new AsyncDisposableStack();
  const folder = parts.use(await temporaryFolder('transship-storage-', temporary));
  const layout = join(folder.path, 'layout');
  const [path, args] = program;
  await run(path, args(ref, `oci:${layout}:${name}`), place, env, signal);
  const owned = parts.move();
  return {
    reader: new OciLayout(layout, {side: 'source', name: place}),
    close: () => owned.disposeAsync(),
  };
}

/** The path of the first program that is there. */
async function findProgram(env: Environment): Promise<CopyProgram> {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const [program, args] of PROGRAMS) {
    for (const folder of folders) {
      const path = join(folder, program);
      const isThere = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (isThere) return [path, args];
    }
  }
  throw new TransshipError(
    'TRANSPORT_UNSUPPORTED',
    'containers-storage: is read by podman or skopeo, and neither is on the PATH',
    {side: 'local', hint: 'install podman or skopeo, or save the image on a machine that has it'},
  );
}

async function run(
  program: string,
  args: readonly string[],
  place: string,
  env: Environment,
  signal: AbortSignal,
): Promise<void> {
  const options = {
    env: Object.fromEntries(Object.entries(env).filter(([key]) => !key.startsWith('TRANSSHIP_'))),
    maxBuffer: OUTPUT_LIMIT,
    signal,
    killSignal: 'SIGKILL',
    windowsHide: true,
  } as const;
  const {promise, resolve} = Promise.withResolvers<string | undefined>();
  execFile(program, args, options, (error, _stdout, stderr) => {
    resolve(error === null ? undefined : stderr || error.message);
  });
  const words = await promise;
  signal.throwIfAborted();
  if (words === undefined) return;
  const isMissing = /not known|no such image|does not resolve|not found|did not resolve/i.test(
    words,
  );
  const last = words
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(-QUOTE_LIMIT);
  throw new TransshipError(
    isMissing ? 'TAG_NOT_FOUND' : 'FILE_UNREADABLE',
    `${place} cannot be read: ${program}: ${last}`,
    {
      side: 'source',
      hint: 'check the name with "podman images", as the same user, and CONTAINERS_STORAGE_CONF',
    },
  );
}
