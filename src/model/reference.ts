import {type Digest, isDigest} from './digest.ts';
import {TransshipError} from './error.ts';

/**
 * `host:port` without a path. Docker reads it as an image of Docker Hub with a number as its tag, which is never meant.
 */
const HOST_AND_PORT = /^(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+):\d{1,5}$/i;

/**
 * The validated name of an image in its repository: in a registry a tag, `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`
 * (distribution-spec, "Pulling manifests"); in an image layout any name, such as `team/app:v1` (see `isLayoutName`).
 */
export type Tag = string & {readonly __brand: 'Tag'};

/** A validated repository path without host: at most 255 characters (distribution-spec, "Pulling manifests"). */
export type RepositoryPath = string & {readonly __brand: 'RepositoryPath'};

/** A repository, without tag and digest. */
export interface Repository {
  /** `host[:port]` in lower case, with an IPv6 address in brackets. Docker Hub is always `docker.io`. */
  readonly registry: string;
  readonly path: RepositoryPath;
}

/** A reference: a repository with an optional tag and digest. */
export interface Reference extends Repository {
  readonly tag?: Tag;
  readonly digest?: Digest;
}

export const DOCKER_HUB = 'docker.io';
const DOCKER_HUB_ALIASES = new Set([
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
  'registry.hub.docker.com',
]);

/** The canonical name of a registry: in lower case, and `docker.io` for all names of Docker Hub. */
export function canonicalRegistry(host: string): string {
  const name = host.toLowerCase();
  return DOCKER_HUB_ALIASES.has(name) ? DOCKER_HUB : name;
}

const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const PATH = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
/** The form of a tag, for schemas. */
export const TAG_PATTERN: RegExp = /^\w[\w.-]{0,127}$/;
/**
 * Characters that move the cursor of a terminal, change the direction of text, or are invisible, including Unicode's
 * tag characters, which can hide whole texts. For a character class of a regular expression with the flag `u`.
 */
export const UNPRINTABLE_CLASS = '\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}';

/**
 * Names in an image layout: the grammar of `org.opencontainers.image.ref.name` (image-spec annotations.md), and all
 * tags, which may also have underscores and repeated separators.
 */
export const LAYOUT_NAME_PATTERN: RegExp = /^(?=.{1,1024}$)\w[\w.:@+-]*(?:\/\w[\w.:@+-]*)*$/;
const HOST =
  /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*\.?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

/** Whether a text has the form `host[:port]`. */
export function isHostName(text: string): boolean {
  const port = /:(\d+)$/.exec(text)?.[1];
  return HOST.test(text) && (port === undefined || (Number(port) > 0 && Number(port) <= 65_535));
}

export function isTag(text: string): text is Tag {
  return TAG_PATTERN.test(text);
}

/** Whether an image in a layout can have this name. Every tag is such a name. */
export function isLayoutName(text: string): text is Tag {
  return LAYOUT_NAME_PATTERN.test(text);
}

/**
 * The parts of a name in a layout: many tools write whole references there, `team/app:v1` or `docker.io/team/app:v1`.
 */
export interface LayoutName {
  /** The part before the tag; empty: the whole name is a tag. */
  readonly repository: string;
  /** Undefined: the name has no tag, such as `feature/x` or `app@sha256:…`. */
  readonly tag?: Tag;
}

/** Splits a name in a layout. */
export function splitLayoutName(name: string): LayoutName {
  if (isTag(name)) return {repository: '', tag: name};
  const colon = name.lastIndexOf(':');
  const tag = name.slice(colon + 1);
  const isTagged = colon > name.lastIndexOf('/') && !name.includes('@') && isTag(tag);
  return isTagged ? {repository: name.slice(0, colon), tag} : {repository: name};
}

export function isRepositoryPath(text: string): text is RepositoryPath {
  return text.length <= 255 && PATH.test(text);
}

/** Whether a repository is the prefix or below it, part by part: `team/app` is in `team`, `teams` is not. */
export function isWithin(repository: string, prefix: string): boolean {
  return prefix === '' || repository === prefix || repository.startsWith(`${prefix}/`);
}

/**
 * Parses `host[:port]/path[:tag][@digest]` as docker does: without a host, the image is on Docker Hub, and a path of
 * one part is in `library/` there (distribution/reference normalize.go, `splitDockerDomain`).
 * @throws TransshipError REFERENCE_INVALID
 */
export function parseReference(text: string): Reference {
  const shown = withoutLogin(text);
  if (shown !== text) throw notADigest(shown);
  if (HOST_AND_PORT.test(text)) {
    throw invalid(text, 'it names a host and no repository', `write ${text}/repository`);
  }
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const named = at < 0 ? text : text.slice(0, at);
  if (digest !== undefined && !isDigest(digest)) {
    throw invalid(
      text,
      `"${digest}" is not a digest`,
      'write sha256: and 64 lower-case hexadecimal digits after the @',
    );
  }
  const colon = named.lastIndexOf(':');
  const hasTag = colon > named.lastIndexOf('/') && colon > named.lastIndexOf(']');
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !isTag(tag)) {
    throw invalid(
      text,
      `"${tag}" is not a tag`,
      'a tag has at most 128 letters, digits, "_", "." and "-", and does not start with "." or "-"',
    );
  }
  const {registry, path} = splitRegistry(hasTag ? named.slice(0, colon) : named);
  if (!isHostName(registry))
    throw invalid(text, `"${registry}" is not a host`, 'write host[:port]/repository');
  if (!isRepositoryPath(path))
    throw invalid(
      text,
      whyNotAPath(path),
      'repository names are lower case: letters, digits and ".", "_", "-" between them, parts joined by "/"',
    );
  return {
    registry,
    path,
    ...(tag === undefined ? {} : {tag}),
    ...(digest === undefined ? {} : {digest}),
  };
}

/** All repositories of a host, or those below a path. */
export interface RepositoryPrefix {
  /** As in `Repository`. */
  readonly registry: string;
  /** A repository path, or the part of one before a `/`; empty: the whole host. See `isWithin`. */
  readonly prefix: string;
}

/**
 * Parses `host[:port][/prefix]`, with or without `docker://`. As in references, a text without a host is on Docker Hub:
 * `library` is `docker.io/library`.
 * @throws TransshipError REFERENCE_INVALID
 */
export function parseRepositoryPrefix(text: string): RepositoryPrefix {
  const shown = withoutLogin(text);
  const hint = 'write host[:port] or host[:port]/prefix, such as registry.example.com/team';
  const bare = text.replace(/^docker:\/\//, '').replace(/\/$/, '');
  const slash = bare.indexOf('/');
  const first = slash < 0 ? bare : bare.slice(0, slash);
  const isHost = first === 'localhost' || /[.:[]/.test(first);
  const registry = isHost ? canonicalRegistry(first) : DOCKER_HUB;
  const prefix = !isHost ? bare : slash < 0 ? '' : bare.slice(slash + 1);
  if (shown !== text || !isHostName(registry) || (!isHost && bare === ''))
    throw notAPrefix(shown, 'it is not a host with a path', hint);
  if (prefix !== '' && !isRepositoryPath(prefix))
    throw notAPrefix(text, `"${prefix}" is not the beginning of a repository name`, hint);
  return {registry, prefix};
}

/** `host/path`, the name of a repository in messages and plans. */
export function formatRepository({registry, path}: Repository): string {
  return `${registry}/${path}`;
}

export function formatReference(reference: Reference): string {
  const {tag, digest} = reference;
  return `${formatRepository(reference)}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/**
 * The full name of an image that docker derives from a short one: `docker.io/library/busybox:latest` for `busybox`;
 * undefined: not a reference.
 */
export function normalizedImage(text: string): string | undefined {
  try {
    const {tag = 'latest', ...repository} = parseReference(text);
    return `${formatRepository(repository)}:${tag}`;
  } catch {
    return undefined;
  }
}

/** The text for a message, without credentials that the user may have written before the host. */
export function withoutLogin(text: string): string {
  const [digest = ''] = /@sha\d+:[^@]*$/.exec(text) ?? [];
  const rest = text.slice(0, text.length - digest.length);
  const [scheme = ''] = /^[a-z][a-z-]*:\/\//.exec(rest) ?? [];
  const at = rest.lastIndexOf('@');
  return at < 0 ? text : `${scheme}***${rest.slice(at)}${digest}`;
}

function notADigest(shown: string): TransshipError {
  const after = shown.slice(shown.indexOf('@') + 1);
  return after.includes('/')
    ? invalid(
        shown,
        'it contains credentials',
        'remove them; credentials come from docker login, --authfile FILE or TRANSSHIP_SOURCE_USERNAME and TRANSSHIP_SOURCE_PASSWORD',
      )
    : invalid(
        shown,
        `"${after}" is not a digest`,
        'write sha256: and 64 lower-case hexadecimal digits after the @',
      );
}

function splitRegistry(name: string): {registry: string; path: string} {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const isHost = /[.:[]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  if (!isHost) return {registry: DOCKER_HUB, path: slash < 0 ? `library/${name}` : name};
  const registry = canonicalRegistry(first);
  const path = name.slice(slash + 1);
  if (registry !== DOCKER_HUB) return {registry, path};
  return {registry, path: path.includes('/') ? path : `library/${path}`};
}

function whyNotAPath(path: string): string {
  if (path === '') return 'the repository name is missing';
  if (path.length > 255) return 'the repository name has more than 255 characters';
  return `"${path}" is not a repository name`;
}

function notAPrefix(text: string, why: string, hint: string): TransshipError {
  const message = `"${text}" names no registry: ${why}`;
  return new TransshipError('REFERENCE_INVALID', message, {side: 'local', hint});
}

function invalid(text: string, why: string, hint: string): TransshipError {
  return new TransshipError('REFERENCE_INVALID', `"${text}" is not an image reference: ${why}`, {
    side: 'local',
    hint,
  });
}
