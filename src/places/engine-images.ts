import {execFile} from 'node:child_process';
import {access, constants} from 'node:fs/promises';
import {delimiter, join} from 'node:path';
import {daemonAddress, downloadFromDaemon} from '../http/local-daemon.ts';
import type {Environment} from '../http/proxy.ts';
import {TransshipError} from '../model/error.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {temporaryDirectory} from './durable-file.ts';
import {OciLayout} from './oci-layout.ts';
import {readOnlyImage} from './read-archive.ts';
import {TarArchive} from './tar-archive.ts';

// Images of a container engine on this machine. Most engines preserve neither manifests nor compressed layers.

/** An image of an engine, in temporary files that exist until it is closed. */
export interface EngineImage {
  readonly reader: RepositoryReader;
  close(): Promise<void>;
}

/** How an image of an engine is opened. */
export interface EngineOptions {
  /** The name by which the engine knows the image: `busybox:1.35`, or an id `sha256:…`. */
  readonly ref: string;
  /** The name of the image in the reader. */
  readonly name: string;
  readonly env: Environment;
  /** Contains the temporary directories as long as they exist. */
  readonly temporary: Set<string>;
}

/**
 * Exports an image from a daemon by Docker's Engine API, `GET /images/{name}/get`, into the temporary directory, since
 * layers have to be read more than once.
 * @throws TransshipError TAG_NOT_FOUND, and errors of the connection
 */
export async function openDaemonImage(
  place: string,
  {ref, name, env, temporary}: EngineOptions,
  {signal}: Call,
): Promise<EngineImage> {
  const address = daemonAddress(env);
  // For a name without a tag, docker would export all of its tags.
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

/** A program that copies an image into a layout. */
type CopyProgram = readonly [program: string, args: (ref: string, to: string) => readonly string[]];

/** In order of preference. */
const PROGRAMS: readonly CopyProgram[] = [
  ['podman', (ref, to) => ['push', '--quiet', ref.replace(/^@/, ''), to]],
  // Policies are about images from elsewhere; this one is already on this machine.
  [
    'skopeo',
    (ref, to) => ['--insecure-policy', 'copy', '--quiet', `containers-storage:${ref}`, to],
  ],
];

/** Maximum characters of a program's output that are quoted. */
const QUOTE_LIMIT = 500;
const OUTPUT_LIMIT = 1024 * 1024;

/**
 * Exports an image from the storage of podman, buildah and CRI-O (containers-storage.conf(5)) with podman or skopeo, as
 * an image layout in the temporary directory. They compress its layers as they do for a push.
 * @throws TransshipError TRANSPORT_UNSUPPORTED if neither is installed, TAG_NOT_FOUND, FILE_UNREADABLE
 */
export async function openStoredImage(
  place: string,
  {ref, name, env, temporary}: EngineOptions,
  {signal}: Call,
): Promise<EngineImage> {
  const program = await findProgram(env);
  await using parts = new AsyncDisposableStack();
  const directory = parts.use(await temporaryDirectory('transship-storage-', temporary));
  const layout = join(directory.path, 'layout');
  const [path, args] = program;
  await run(path, args(ref, `oci:${layout}:${name}`), place, env, signal);
  const owned = parts.move();
  return {
    reader: new OciLayout(layout, {side: 'source', name: place}),
    close: () => owned.disposeAsync(),
  };
}

/** The first program on the PATH. */
async function findProgram(env: Environment): Promise<CopyProgram> {
  const directories = (env['PATH'] ?? '').split(delimiter).filter((directory) => directory !== '');
  for (const [program, args] of PROGRAMS) {
    for (const directory of directories) {
      const path = join(directory, program);
      const isThere = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (isThere) return [path, args];
    }
  }
  throw new TransshipError(
    'TRANSPORT_UNSUPPORTED',
    'containers-storage: requires podman or skopeo, but neither is on the PATH',
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
