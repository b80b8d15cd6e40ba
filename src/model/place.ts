import {isDigest} from './digest.ts';
import {TransshipError} from './error.ts';
import {
  formatReference,
  formatRepository,
  parseReference,
  type Reference,
  type Tag,
  withoutLogin,
} from './reference.ts';

/** A place as the user writes it, with skopeo's transports (containers-transports(5)). */
export type Place =
  | {readonly transport: 'docker'; readonly reference: Reference}
  | FilePlace
  | {readonly transport: 'dir'; readonly file: string}
  | EnginePlace;

/**
 * The internal name of the only image of a `dir:`. It is not shown to users, who write only the directory (see
 * `nameOf`).
 */
export const DIRECTORY_IMAGE = 'latest' as Tag;

/** Places that consist of one image. */
const ENGINE = /^(?:docker-daemon|containers-storage):/;

/**
 * The name of an image: `host/path:tag`, or `host/path@digest` without a tag. The image of a `dir:` has the name of the
 * directory, that of an engine the name by which the engine knows it.
 * @param repository `host/path`, or a transport with a file
 * @param digest may be shortened for people
 */
export function nameOf(
  repository: string,
  tag: string | undefined,
  digest: string | undefined,
): string {
  if (tag === DIRECTORY_IMAGE && repository.startsWith('dir:')) return repository;
  if (tag !== undefined && ENGINE.test(repository)) return repository;
  if (tag !== undefined) return `${repository}:${tag}`;
  return digest === undefined ? repository : `${repository}@${digest}`;
}

/** An image of a container engine on this machine. */
export interface EnginePlace {
  readonly transport: 'docker-daemon' | 'containers-storage';
  /** A name such as `busybox:1.35`, or an id: `sha256:…`, in a storage also `@…`. */
  readonly ref: string;
}

const ENGINE_ID = /^(?:sha256:[a-f0-9]{64}|@[a-f0-9]{12,64})$/;

/**
 * The name of an engine's image in its reader: with its tag, or `latest` if the user gave an id or digest.
 * @throws TransshipError REFERENCE_INVALID
 */
export function engineImageName(ref: string): Tag {
  const isId = ENGINE_ID.test(ref);
  const {tag, digest} = isId ? {} : parseReference(ref);
  if (isId || digest !== undefined) return DIRECTORY_IMAGE;
  return (tag === undefined ? `${ref}:latest` : ref) as Tag;
}

/** A place on this machine that may hold several images. */
export interface FilePlace {
  readonly transport: 'oci' | 'oci-archive' | 'docker-archive';
  readonly file: string;
  /**
   * A repository whose images are in the layout under their full names, `host/path`; `ref` is then a tag or digest of
   * it.
   */
  readonly repository?: string;
  /** A name or a digest; in a docker-archive also `@` and the index of an image, from 0. */
  readonly ref?: string;
}

/** The index of an image in an archive, as in `docker-archive:FILE:@0`; undefined: `ref` is absent or a name. */
export function archiveIndex(ref: string | undefined): number | undefined {
  const [, digits] = /^@(\d{1,9})$/.exec(ref ?? '') ?? [];
  return digits === undefined ? undefined : Number(digits);
}

const FILE_TRANSPORTS = new Set(['oci', 'oci-archive', 'docker-archive'] as const);
/** Transports of skopeo that are not supported, with hints. */
const OTHERS: Readonly<Record<string, string>> = {
  ostree: 'write oci:DIR instead',
  sif: 'write oci-archive:FILE instead',
  tarball: 'write oci-archive:FILE instead',
  atomic: 'write docker://host/repository instead',
};

/**
 * Parses a place. Without a transport, it is a registry reference.
 * @throws TransshipError REFERENCE_INVALID, TRANSPORT_UNKNOWN
 */
export function parsePlace(text: string): Place {
  const match = /^([a-z][a-z-]*):(.*)$/s.exec(text);
  const name = match?.[1] ?? '';
  const rest = match?.[2] ?? '';
  if (name === 'docker' && rest.startsWith('//')) return registryPlace(rest.slice(2));
  if ((FILE_TRANSPORTS as Set<string>).has(name)) return filePlace(name as 'oci', rest, text);
  if (name === 'dir') return {transport: 'dir', file: needed(rest, text)};
  if (name === 'docker-daemon' || name === 'containers-storage')
    return {transport: name, ref: needed(rest, text)};
  const instead =
    OTHERS[name] ??
    (rest.startsWith('//')
      ? 'write docker://host/repository, or leave the transport out'
      : undefined);
  if (instead !== undefined) {
    throw new TransshipError(
      'TRANSPORT_UNKNOWN',
      `"${name}:" in "${withoutLogin(text)}" is not a transport that transship knows`,
      {side: 'local', hint: instead},
    );
  }
  return registryPlace(text);
}

export function formatPlace(place: Place): string {
  switch (place.transport) {
    case 'docker':
      return formatReference(place.reference);
    case 'dir':
      return `dir:${place.file}`;
    case 'docker-daemon':
    case 'containers-storage':
      return `${place.transport}:${place.ref}`;
    case 'oci':
    case 'oci-archive':
    case 'docker-archive':
      return `${place.transport}:${place.file}${inside(place.repository)}${suffixOf(place.ref)}`;
  }
}

/** Separates a file from a repository in it: names in a layout do not begin with a colon. */
const INSIDE = '::';

function inside(repository: string | undefined): string {
  return repository === undefined ? '' : `${INSIDE}${repository}`;
}

/** The name of a repository in a layout in plans: `oci-archive:FILE::host/path`. */
export function repositoryInside(
  {transport, file}: Pick<FilePlace, 'transport' | 'file'>,
  repository: string,
): string {
  return formatPlace({transport, file, repository});
}

function suffixOf(ref: string | undefined): string {
  if (ref === undefined) return '';
  return isDigest(ref) ? `@${ref}` : `:${ref}`;
}

function registryPlace(text: string): Place {
  return {transport: 'docker', reference: parseReference(text)};
}

function filePlace(
  transport: 'oci' | 'oci-archive' | 'docker-archive',
  rest: string,
  text: string,
): Place {
  const at = transport === 'docker-archive' ? -1 : rest.indexOf(INSIDE);
  if (at > 0) return insidePlace(transport, rest.slice(0, at), rest.slice(at + INSIDE.length));
  const [, before = '', digest] = /^([^:]+)@(sha(?:256|512):[^:@/]+)$/.exec(rest) ?? [];
  if (digest !== undefined && isDigest(digest)) return {transport, file: before, ref: digest};
  const colon = rest.indexOf(':');
  const file = needed(colon < 0 ? rest : rest.slice(0, colon), text);
  const ref = colon < 0 ? '' : rest.slice(colon + 1);
  return ref === '' ? {transport, file} : {transport, file, ref};
}

function insidePlace(transport: FilePlace['transport'], file: string, text: string): FilePlace {
  const reference = parseReference(text);
  const ref = reference.digest ?? reference.tag;
  const repository = formatRepository(reference);
  return {transport, file, repository, ...(ref === undefined ? {} : {ref})};
}

function needed(file: string, text: string): string {
  if (file !== '') return file;
  throw new TransshipError('REFERENCE_INVALID', `"${text}" names no file`, {
    side: 'local',
    hint: 'write the path after the colon',
  });
}

const LOCAL = /^(?:oci|oci-archive|dir|docker-archive|docker-daemon|containers-storage):/;

/** Whether a repository of a plan is on this machine. The names of its images may be other than tags. */
export function isLocal(repository: string): boolean {
  return LOCAL.test(repository);
}

const SOURCES_ONLY: ReadonlySet<Place['transport']> = new Set([
  'docker-archive',
  'docker-daemon',
  'containers-storage',
]);

/** Whether a place can only be a source: it does not store manifests unchanged. */
export function isSourceOnly({transport}: Place): boolean {
  return SOURCES_ONLY.has(transport);
}

/** The error for a place that can only be a source, named as a destination. */
export function notADestination(name: string): TransshipError {
  return new TransshipError(
    'TRANSPORT_UNSUPPORTED',
    `${name} can only be a source: it stores no manifests, so digests would change`,
    {side: 'local', hint: 'copy to oci:DIR, oci-archive:FILE or dir:DIR, which preserve them'},
  );
}
