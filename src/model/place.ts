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

/** A place as the user writes it: skopeo's transports (containers-transports(5)). */
export type Place =
  | {readonly transport: 'docker'; readonly reference: Reference}
  | FilePlace
  | {readonly transport: 'dir'; readonly file: string}
  | EnginePlace;

/**
 * What the one image of a `dir:` is called where a name is needed. It is not shown to users, who name the directory
 * alone: see `nameOf`.
 */
export const DIRECTORY_IMAGE = 'latest' as Tag;

/** Places that are one image each. */
const ENGINE = /^(?:docker-daemon|containers-storage):/;

/**
 * What an image of a repository is called: `host/path:tag`, without a tag `host/path@digest`. The image of a `dir:` is
 * called as the directory, one of an engine as it is asked for there.
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
 * What an image of an engine is called: by its whole name, or `latest` where it is asked for by its id or digest.
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
  /** A repository that was copied into the layout under its whole name, `host/path`; then `ref` is a tag or a digest of it. */
  readonly repository?: string;
  /** A name or a digest; in a docker-archive also `@` and the number of an image, counted from 0. */
  readonly ref?: string;
}

/** The number of an image in an archive, as in `docker-archive:FILE:@0`; undefined: it is named otherwise, or not at all. */
export function archiveIndex(ref: string | undefined): number | undefined {
  const [, digits] = /^@(\d{1,9})$/.exec(ref ?? '') ?? [];
  return digits === undefined ? undefined : Number(digits);
}

const FILE_TRANSPORTS = new Set(['oci', 'oci-archive', 'docker-archive'] as const);
/** Transports of skopeo's that mean nothing here, with what to use instead. */
const OTHERS: Readonly<Record<string, string>> = {
  ostree: 'write oci:DIR instead',
  sif: 'write oci-archive:FILE instead',
  tarball: 'write oci-archive:FILE instead',
  atomic: 'write docker://host/repository instead',
};

/**
 * Reads a place. Without a transport it is a registry reference.
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

/** Stands between a file and a repository in it: a name in a layout does not begin with a colon. */
const INSIDE = '::';

function inside(repository: string | undefined): string {
  return repository === undefined ? '' : `${INSIDE}${repository}`;
}

/** A repository in a layout, as plans name it: `oci-archive:FILE::host/path`. */
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

/** Whether a repository, as plans name it, is on this machine. Its images have names by another grammar than tags. */
export function isLocal(repository: string): boolean {
  return LOCAL.test(repository);
}

const SOURCES_ONLY: ReadonlySet<Place['transport']> = new Set([
  'docker-archive',
  'docker-daemon',
  'containers-storage',
]);

/** Whether a place holds no manifests as they were pushed, so that nothing can be copied there unchanged. */
export function isSourceOnly({transport}: Place): boolean {
  return SOURCES_ONLY.has(transport);
}

/** The error for a place that holds no manifest as it was pushed, named as a destination. */
export function notADestination(name: string): TransshipError {
  return new TransshipError(
    'TRANSPORT_UNSUPPORTED',
    `${name} can only be a source: it holds no manifests, so that digests would change`,
    {side: 'local', hint: 'write into oci:DIR, oci-archive:FILE or dir:DIR, which keep them'},
  );
}
