import {isDigest} from './digest.ts';
import {TransshipError} from './error.ts';
import {
  formatReference,
  parseReference,
  type Reference,
  type Tag,
  withoutLogin,
} from './reference.ts';

/** A place as the user writes it: skopeo's transports (containers-transports(5)). */
export type Place =
  | {readonly transport: 'docker'; readonly reference: Reference}
  | {
      readonly transport: 'oci' | 'oci-archive' | 'docker-archive';
      readonly file: string;
      /** A name or a digest. */
      readonly ref?: string;
    }
  | {readonly transport: 'dir'; readonly file: string}
  | {readonly transport: 'docker-daemon'; readonly ref: string};

/**
 * What the one image of a `dir:` is called where a name is needed. It is not shown to users, who name the directory
 * alone: see `imageName`.
 */
export const DIRECTORY_IMAGE = 'latest' as Tag;

/**
 * What an image of a repository is called: `host/path:tag`, without a tag `host/path@digest`. The image of a `dir:` is
 * called as the directory.
 * @param repository `host/path`, or a transport with a file
 * @param digest may be shortened for people
 */
export function imageName(
  repository: string,
  tag: string | undefined,
  digest: string | undefined,
): string {
  if (tag === DIRECTORY_IMAGE && repository.startsWith('dir:')) return repository;
  if (tag !== undefined) return `${repository}:${tag}`;
  return digest === undefined ? repository : `${repository}@${digest}`;
}

const FILE_TRANSPORTS = new Set(['oci', 'oci-archive', 'docker-archive'] as const);
/** Transports of skopeo's that mean nothing here, with what to use instead. */
const OTHERS: Readonly<Record<string, string>> = {
  'containers-storage': 'push the image with podman or buildah first',
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
  if (name === 'docker-daemon') return {transport: 'docker-daemon', ref: needed(rest, text)};
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
      return `docker-daemon:${place.ref}`;
    case 'oci':
    case 'oci-archive':
    case 'docker-archive':
      return `${place.transport}:${place.file}${suffixOf(place.ref)}`;
  }
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
  const [, before = '', digest] = /^([^:]+)@(sha(?:256|512):[^:@/]+)$/.exec(rest) ?? [];
  if (digest !== undefined && isDigest(digest)) return {transport, file: before, ref: digest};
  const colon = rest.indexOf(':');
  const file = needed(colon < 0 ? rest : rest.slice(0, colon), text);
  const ref = colon < 0 ? '' : rest.slice(colon + 1);
  return ref === '' ? {transport, file} : {transport, file, ref};
}

function needed(file: string, text: string): string {
  if (file !== '') return file;
  throw new TransshipError('REFERENCE_INVALID', `"${text}" names no file`, {
    side: 'local',
    hint: 'write the path after the colon',
  });
}
