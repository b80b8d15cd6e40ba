import type {Digest} from '../model/digest.ts';
import {registryPathOf} from '../model/gitlab-naming.ts';
import type {FindingCode} from '../model/finding-codes.ts';
import {type Check, copiesOf, type Plan} from '../model/plan.ts';
import {isLocal} from '../model/place.ts';
import {DOCKER_HUB, type Tag} from '../model/reference.ts';
import {compareNatural, compareText} from './compare.ts';

/** An image that gets a new name when the plan is applied. */
export interface MovedImage {
  /** Absent: the image has only a digest. */
  readonly tag?: Tag;
  readonly newTag?: Tag;
  readonly digest: Digest;
  /** Differs from `digest` if the plan changes the image, for example by selecting platforms. */
  readonly newDigest: Digest;
}

/** A repository that gets a new name when the plan is applied. */
export interface MovedRepository {
  /** `host/path`, old and new. */
  readonly from: string;
  readonly to: string;
  /** In the natural order of their tags. */
  readonly images: readonly MovedImage[];
}

/** How a plan changes references to images. */
export interface References {
  /** In the order of their old names. A source with several destinations has an entry for each. */
  readonly repositories: readonly MovedRepository[];
  /**
   * Transfers only: everything below the old path gets a new name, including images that are not in the plan. As
   * `host/path`.
   */
  readonly prefixes: readonly {readonly from: string; readonly to: string}[];
  /** Transfers only: tokens and allowlists that no longer work after the move, as found when planning. */
  readonly access: readonly Pick<Check, 'code' | 'message' | 'hint'>[];
}

const OF_ACCESS: ReadonlySet<Check['code']> = new Set<FindingCode>([
  'DEPLOY_TOKENS_END',
  'JOB_TOKENS_CHANGE',
  'JOB_TOKENS_END',
  'ACCESS_NOT_SEEN',
]);

/**
 * The old and new names of all images in a plan. Images in files and archives are left out: no references name them.
 */
export function referencesOf(plan: Plan): References {
  const found = plan.kind === 'copy' ? copiedRepositories(plan) : movedRepositories(plan);
  const repositories = found
    .filter(({from, to}) => !isLocal(from) && !isLocal(to) && from !== to)
    .map((one) => ({...one, images: one.images.toSorted(byTag)}))
    .toSorted((a, b) => compareText(a.from, b.from) || compareText(a.to, b.to));
  const access = plan.checks.flatMap(({code, message, hint}) =>
    OF_ACCESS.has(code) ? [{code, message, hint}] : [],
  );
  return {repositories, prefixes: plan.kind === 'copy' ? [] : prefixesOf(plan), access};
}

function byTag(a: MovedImage, b: MovedImage): number {
  return compareNatural(a.tag ?? '', b.tag ?? '') || compareText(a.digest, b.digest);
}

function copiedRepositories(plan: Extract<Plan, {kind: 'copy'}>): readonly MovedRepository[] {
  const found = new Map<string, {from: string; to: string; images: MovedImage[]}>();
  const at = (from: string, to: string): MovedImage[] => {
    const key = `${from} ${to}`;
    const one = found.get(key) ?? {from, to, images: []};
    found.set(key, one);
    return one.images;
  };
  for (const {from, to} of plan.routes) at(from, to);
  for (const {from, to, tag, digest, sourceTag} of copiesOf(plan)) {
    at(from, to).push({
      ...(sourceTag === undefined ? {} : {tag: sourceTag.name}),
      ...(tag === undefined ? {} : {newTag: tag}),
      digest: sourceTag?.digest ?? digest,
      newDigest: digest,
    });
  }
  for (const skip of plan.skipped) {
    if (skip.reason !== 'present') continue;
    const {from, to, tag, sourceTag = tag, digest} = skip;
    at(from, to).push({
      ...(sourceTag === undefined ? {} : {tag: sourceTag}),
      ...(tag === undefined ? {} : {newTag: tag}),
      digest,
      newDigest: digest,
    });
  }
  return [...found.values()];
}

function movedRepositories({moves}: Extract<Plan, {kind: 'transfer'}>): readonly MovedRepository[] {
  return moves
    .flatMap(({repositories}) => repositories)
    .map(({from, to, tags}) => ({
      from,
      to,
      images: tags.map(({name, digest}) => ({
        tag: name,
        newTag: name,
        digest,
        newDigest: digest,
      })),
    }));
}

/** Without images the registry is unknown. */
function prefixesOf({
  moves,
  groups = [],
}: Extract<Plan, {kind: 'transfer'}>): References['prefixes'] {
  const names = [
    ...moves.flatMap(({repositories}) => repositories.map(({from}) => from)),
    ...groups.flatMap(({records}) => records),
  ];
  const [host] = names.map((name) => name.slice(0, name.indexOf('/')));
  if (host === undefined) return [];
  const paths = [...moves.map(({project}) => project), ...groups.map(({group}) => group)];
  return paths.map(({from, to}) => ({
    from: `${host}/${registryPathOf(from)}`,
    to: `${host}/${registryPathOf(to)}`,
  }));
}

/** An old reference in a line of text. */
export interface FoundReference {
  /** Its offset in the line, from 0. */
  readonly at: number;
  readonly old: string;
  /** The replacement; undefined: see `why`. */
  readonly new?: string;
  /** Why it cannot be replaced, as a clause. */
  readonly why?: string;
}

const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const PATH = `${COMPONENT}(?:/${COMPONENT})*`;
const TAG_AND_DIGEST = '(?::(\\w[\\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?';
/** A variable of a shell, CI or template for the registry: `$CI_REGISTRY/`, `${R}/`, `{{ .r }}/`. */
const VARIABLE = '(?:\\$\\{?[A-Za-z_][A-Za-z0-9_]*\\}?|\\}\\})/';
/** Places of image names without a host: Dockerfile instructions, and keys of YAML, JSON and HCL. */
const KEYS =
  '(?:FROM(?:\\s+--platform=\\S+)?\\s+|\\b(?:image|repository|newName)["\']?\\s*[:=]\\s*["\']?)';
/** Longer lines, in characters, are skipped: they are generated. */
const LINE_LIMIT = 10_000;

/**
 * Finds the old names of a plan in text: with their registry, after a variable for the registry, and without a registry
 * in places of image names. A match ends where the name ends: `org/app` is not found in `org/app2` or `org/app/web`.
 */
export class ReferenceFinder {
  readonly #exact: ReadonlyMap<string, readonly MovedRepository[]>;
  readonly #prefixes: References['prefixes'];
  readonly #withHost: RegExp | undefined;
  readonly #withoutHost: RegExp;

  constructor({repositories, prefixes}: References) {
    this.#exact = Map.groupBy(repositories, ({from}) => from);
    // Longest first: a project before its group.
    this.#prefixes = prefixes.toSorted((a, b) => b.from.length - a.from.length);
    const hosts = new Set([...repositories, ...prefixes].map(({from}) => hostOf(from)));
    const names = [...hosts].flatMap((host) => (host === DOCKER_HUB ? HUB_NAMES : [host]));
    const either = names.map((name) => name.replaceAll(/[.[\]]/g, '\\$&')).join('|');
    // A match must not start inside a longer host or path, but may follow a scheme.
    const before = '(?<![A-Za-z0-9._@-]|(?<!/)/)';
    this.#withHost =
      names.length === 0
        ? undefined
        : new RegExp(`${before}(${either})/(${PATH})(?![A-Za-z0-9_])${TAG_AND_DIGEST}`, 'gi');
    this.#withoutHost = new RegExp(
      `(${VARIABLE}|${KEYS})(${PATH})(?![A-Za-z0-9_])${TAG_AND_DIGEST}`,
      'g',
    );
  }

  /** All old references in a line, in order. */
  find(line: string): readonly FoundReference[] {
    if (line.length > LINE_LIMIT) return [];
    const found: FoundReference[] = [];
    if (this.#withHost !== undefined) {
      for (const match of line.matchAll(this.#withHost)) {
        const [old, host = '', path = '', tag, digest] = match;
        const name = `${canonicalHost(host)}/${hubPath(canonicalHost(host), path)}`;
        const one = this.#replaced(name, {tag, digest, next: line[match.index + old.length]});
        if (one !== undefined) found.push({at: match.index, old, ...one});
      }
    }
    for (const match of line.matchAll(this.#withoutHost)) {
      const [whole, lead = '', path = '', tag, digest] = match;
      const at = match.index + lead.length;
      const next = line[match.index + whole.length];
      // Paths whose first part looks like a host were matched above.
      if (/^[^/]*[.:][^/]*\//.test(path)) continue;
      const isVariable = /[/]$/.test(lead);
      const one = this.#bare(path, {tag, digest, next}, isVariable);
      if (one !== undefined) found.push({at, old: whole.slice(lead.length), ...one});
    }
    return found.toSorted((a, b) => a.at - b.at);
  }

  /** @param name `host/path` */
  #replaced(name: string, rest: Rest): Omit<FoundReference, 'at' | 'old'> | undefined {
    const [exact, ...others] = isLonger(rest) ? [] : (this.#exact.get(name) ?? []);
    if (exact !== undefined) {
      return others.length > 0
        ? {why: `it goes to ${[exact, ...others].map(({to}) => to).join(' and ')}`}
        : replacedIn(exact, rest);
    }
    const prefix = this.#prefixes.find(({from}) => name === from || name.startsWith(`${from}/`));
    return prefix && {new: `${prefix.to}${name.slice(prefix.from.length)}${suffixOf(rest)}`};
  }

  /** A path without a visible registry. */
  #bare(
    path: string,
    rest: Rest,
    isVariable: boolean,
  ): Omit<FoundReference, 'at' | 'old'> | undefined {
    const hosts = new Set(
      [...this.#exact.keys(), ...this.#prefixes.map(({from}) => from)].map(hostOf),
    );
    for (const host of hosts) {
      // A bare name means Docker Hub, a name after a variable does not.
      if (host === DOCKER_HUB && isVariable) continue;
      const one = this.#replaced(`${host}/${hubPath(host, path)}`, rest);
      if (one?.new === undefined) {
        if (one !== undefined) return one;
        continue;
      }
      if (host === DOCKER_HUB) return one;
      return hostOf(one.new) === host
        ? {new: one.new.slice(host.length + 1)}
        : {why: `the registry changes as well: ${one.new}`};
    }
    return undefined;
  }
}

/** The text after the name of a repository. */
interface Rest {
  readonly tag: string | undefined;
  readonly digest: string | undefined;
  /** The next character. */
  readonly next: string | undefined;
}

/** The rest of the path is unknown, as in `org/app/$NAME`: only a prefix can be replaced. */
function isLonger({tag, digest, next}: Rest): boolean {
  return tag === undefined && digest === undefined && next === '/';
}

function suffixOf({tag, digest}: Rest): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

function replacedIn({to, images}: MovedRepository, rest: Rest): Omit<FoundReference, 'at' | 'old'> {
  const {tag, digest} = rest;
  if (tag === undefined && digest === undefined) return {new: to};
  const image = images.find((one) =>
    digest === undefined ? one.tag === tag : one.digest === digest,
  );
  if (image === undefined) return {why: 'the plan does not have this image'};
  const newTag = tag === undefined ? undefined : image.tag === tag ? image.newTag : tag;
  const newDigest = digest === undefined ? undefined : image.newDigest;
  return {new: `${to}${suffixOf({tag: newTag, digest: newDigest, next: undefined})}`};
}

function hostOf(name: string): string {
  return name.slice(0, name.indexOf('/'));
}

/** The names of Docker Hub in references. */
const HUB_NAMES = [DOCKER_HUB, 'index.docker.io', 'registry-1.docker.io'];

function canonicalHost(host: string): string {
  const name = host.toLowerCase();
  return HUB_NAMES.includes(name) ? DOCKER_HUB : name;
}

function hubPath(host: string, path: string): string {
  return host === DOCKER_HUB && !path.includes('/') ? `library/${path}` : path;
}

/** The line with all replaceable references replaced. */
export function rewritten(line: string, found: readonly FoundReference[]): string {
  let text = line;
  for (const {at, old, new: replacement} of found.toReversed())
    if (replacement !== undefined)
      text = text.slice(0, at) + replacement + text.slice(at + old.length);
  return text;
}
