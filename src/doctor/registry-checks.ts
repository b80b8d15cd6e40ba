import type {Digest} from '../model/digest.ts';
import {childBlobs, childManifests, type Manifest} from '../model/manifest.ts';
import type {Call} from '../model/port.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {isTag, type RepositoryPath, type Tag} from '../model/reference.ts';
import type {RegistryTraits} from '../registry/gitlab-extension.ts';
import type {Registry} from '../registry/registry.ts';
import {formatScope, pullScope} from '../registry/scope.ts';
import {attempted, failed, type Finding, passed, warned} from './examination.ts';

/** Tokens are not valid where clocks differ by more (GitLab container registry: docs/auth-request-flow.md), in ms. */
const CLOCK_LEEWAY_MS = 60_000;
const CLOCK_NEAR_MS = 10_000;

/** What the base of the API says: who gives tokens, which product it is, its clock. */
export async function checkBase(
  registry: Registry,
  now: () => Date,
  call: Call,
): Promise<readonly Finding[]> {
  const {signal} = call;
  const challenges = await attempted('challenge', signal, async () => {
    const [first] = await registry.challenges(call);
    if (first === undefined) return passed('challenge', 'no login is asked for at /v2/', 'none');
    const {realm = '', service = ''} = first.parameters;
    if (first.scheme === 'basic')
      return passed('challenge', 'a password for each request', 'Basic');
    const from = realm === '' ? '' : ` from ${URL.parse(realm)?.host ?? realm}`;
    const of = service === '' ? '' : ` (service ${service})`;
    return passed('challenge', `${first.scheme} tokens${from}${of}`, 'Bearer');
  });
  if (challenges.some(({result}) => result === 'fail')) return challenges;
  const base = await attempted('login', signal, async () => {
    const traits = await registry.traits(call);
    if (traits.isPage === true)
      return failed(
        'login',
        'a web page answers at /v2/, no registry',
        'check host and port, and whether this machine has to log in at a proxy',
      );
    return [
      passed('login', 'the registry accepts the login, or needs none'),
      ...productOf(traits),
      ...clockOf(traits, now()),
    ];
  });
  if (base.some(({result}) => result === 'fail')) return [...challenges, ...base];
  const catalog = await attempted('catalog', signal, async () =>
    (await registry.probeCatalog(call))
      ? passed('catalog', 'repositories are listed', 'yes')
      : passed(
          'catalog',
          'repositories are not listed to this login: name them, or use the API of the product',
          'no',
        ),
  );
  return [...challenges, ...base, ...catalog];
}

function productOf({version, database, deletesTags}: RegistryTraits): readonly Finding[] {
  if (version === undefined) return [];
  const kind = database ? 'with metadata database' : 'without metadata database';
  const found = passed(
    'product',
    `GitLab's registry ${version}, ${kind}`,
    `GitLab ${version} ${kind}`,
  );
  const fault = FAULTS.find(({before, from}) => isBetween(version, from, before));
  return [
    found,
    ...(fault ? [warned('version', fault.finding, fault.hint)] : []),
    ...(deletesTags
      ? []
      : [
          warned(
            'delete',
            'tags are deleted with all others of their digest',
            'update the registry',
          ),
        ]),
  ];
}

/** Faults of GitLab's registry by its version (GitLab: gitlab#600955, container-registry#2309, CHANGELOG.md of it). */
const FAULTS = [
  {
    from: [4, 40, 0],
    before: [4, 40, 1],
    finding: 'GitLab 19.0.0 and 19.0.1 answer 500 at /gitlab/v1/',
    hint: 'update to 19.0.2; images can be pulled and pushed all the same',
  },
  {
    from: [4, 40, 1],
    before: [4, 40, 2],
    finding: 'GitLab 19.0 and 19.1 fail at the end of uploads on some S3-compatible storages',
    hint: 'update to 19.2',
  },
  {
    from: [0, 0, 0],
    before: [3, 79, 0],
    finding: 'layers of more than 10 GB fail on S3',
    hint: 'update GitLab to 16.3 or later',
  },
] as const;

function isBetween(version: string, from: readonly number[], before: readonly number[]): boolean {
  const numbers = /(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number);
  return numbers !== undefined && order(numbers, from) >= 0 && order(numbers, before) < 0;
}

function order(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((part, index) => part !== b[index]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}

function clockOf({clock}: RegistryTraits, now: Date): readonly Finding[] {
  if (clock === undefined) return [];
  const skew = Math.abs(clock - now.getTime());
  const text = `${Math.round(skew / 1000)} s from the clock of this machine`;
  if (skew > CLOCK_LEEWAY_MS)
    return [failed('clock', text, 'synchronise the clocks: tokens are not valid otherwise')];
  return skew > CLOCK_NEAR_MS
    ? [warned('clock', text, 'synchronise the clocks: tokens fail beyond 60 s')]
    : [passed('clock', text)];
}

/** Within so many seconds a large chunk may outlive its token, in ms. */
const SHORT_LIFE_MS = 60_000;

/** What the token allows, how long it lives, and who issued it; never the token. */
async function checkToken(
  registry: Registry,
  path: RepositoryPath,
  call: Call,
): Promise<readonly Finding[]> {
  const scope = pullScope(path);
  const granted = await registry.granted(path, scope, call);
  const facts = await registry.tokenFacts(path, scope, call);
  if (facts === undefined)
    return [passed('token', 'no tokens: each request has its login, or none')];
  const seconds = Math.round(facts.lifeMs / 1000);
  const life = {
    answer: `it is valid for ${seconds} s`,
    claims: `it is valid for ${seconds} s, as its claims say`,
    default: `its service does not say how long it is valid: ${seconds} s are assumed`,
  }[facts.lifeFrom];
  const lives =
    facts.lifeMs < SHORT_LIFE_MS
      ? warned(
          'token-life',
          life,
          'a chunk that takes longer is refused and sent again: smaller ones help (--chunk-size)',
          `${seconds} s`,
        )
      : passed('token-life', life, `${seconds} s`);
  const {claims} = facts;
  const named = Object.entries(claims ?? {}).map(([name, value]) => `${name} ${value}`);
  const told = passed(
    'token-claims',
    claims === undefined
      ? 'the token is opaque: what it allows is not known in advance'
      : `a JWT: ${[...named, ...(granted ?? []).map(formatScope)].join(', ') || 'without claims that are known'}`,
  );
  if (granted === undefined) return [lives, told];
  const own = granted.find(({resource}) => resource === scope.resource);
  const actions = own?.actions ?? [];
  return [
    actions.includes('pull') || actions.includes('*')
      ? passed('token', `the token allows ${actions.join(', ')}`)
      : failed(
          'token',
          'the token does not allow to pull',
          'use a token with read_registry of a member of the project',
        ),
    lives,
    told,
  ];
}

/** What can be read in a repository, and how. */
export async function checkReading(
  registry: Registry,
  path: RepositoryPath,
  call: Call,
): Promise<readonly Finding[]> {
  const {signal} = call;
  const repository = registry.repository(path);
  let first: Tag | undefined;
  let some: readonly Tag[] = [];
  const tokens = await attempted('token', signal, () => checkToken(registry, path, call));
  const tags = await attempted('tags', signal, async () => {
    const names = await repository.listTags(call);
    if (names === undefined)
      return failed(
        'tags',
        'there is no such repository, or none that this login may see',
        'check the path',
      );
    const valid = names.filter(isTag);
    first = valid[0];
    some = valid.slice(0, LOOKED_AT);
    const invalid = names.filter((name) => !isTag(name)).length;
    return [
      passed('tags', `tags: ${names.length}`, 'yes'),
      ...(invalid === 0
        ? []
        : [
            warned(
              'tag-names',
              `${invalid} of them with names that no client can use`,
              'their objects have to be removed from the storage',
            ),
          ]),
    ];
  });
  const tag = first;
  if (tag === undefined) return [...tokens, ...tags];
  const paging = await attempted(
    'paging',
    signal,
    async () => PAGING[await registry.probePaging(path, call)],
  );
  const heads = await attempted('head', signal, async () =>
    (await repository.head(tag, call)) === undefined
      ? failed('head', `${tag} is listed and not there`, 'delete the tag, or push it again')
      : passed('head', `HEAD tells what ${tag} points to`, 'yes'),
  );
  const old = await attempted('schema1', signal, () => checkSchema1(registry, path, some, call));
  const blobs = await attempted('blobs', signal, () => checkBlobs(registry, path, tag, call));
  const referrers = await attempted('referrers', signal, async () => {
    const subject = await repository.head(tag, call);
    const found = subject && (await repository.listReferrers(subject.digest, call));
    return found === undefined
      ? passed('referrers', 'no referrers API: fallback tags are used', 'no')
      : passed('referrers', 'it has the referrers API', 'yes');
  });
  return [...tokens, ...tags, ...paging, ...heads, ...old, ...blobs, ...referrers];
}

const PAGING: Readonly<Record<Awaited<ReturnType<Registry['probePaging']>>, Finding>> = {
  honoured: passed('paging', 'lists come in pages', 'yes'),
  ignored: passed('paging', 'lists come whole, whatever is asked for', 'no'),
  'not-known': passed('paging', 'not known: there are fewer than two tags'),
};

/** Tags that are looked at for images of Docker schema 1; of more, the plan says it. */
const LOOKED_AT = 20;
const AT_ONCE = 8;

async function checkSchema1(
  registry: Registry,
  path: RepositoryPath,
  tags: readonly Tag[],
  call: Call,
): Promise<Finding> {
  const repository = registry.repository(path);
  const found = await mapAtOnce(tags, AT_ONCE, async (tag) => {
    const type = (await repository.head(tag, call))?.mediaType ?? '';
    return type.startsWith(SCHEMA1_TYPES) ? [tag] : [];
  });
  const old = found.flat();
  return old.length === 0
    ? passed('schema1', `no image of Docker schema 1 among ${tags.length} tags`)
    : warned(
        'schema1',
        `images of Docker schema 1: ${old.join(', ')}`,
        'GitLab and distribution 3 refuse them: convert them (--convert-schema1), or exclude their tags',
      );
}

/** `manifest.v1+json` and `manifest.v1+prettyjws`. */
const SCHEMA1_TYPES = 'application/vnd.docker.distribution.manifest.v1+';

async function checkBlobs(
  registry: Registry,
  path: RepositoryPath,
  tag: Tag,
  call: Call,
): Promise<readonly Finding[]> {
  const repository = registry.repository(path);
  const root = await repository.getManifest(tag, call);
  const image = root && (await firstImage(root, (digest) => repository.getManifest(digest, call)));
  const blob = image && childBlobs(image.view).find(({size}) => size > 2);
  if (blob === undefined) return [];
  const {ranges, from, limits} = await registry.probeBlob(path, blob.digest, call);
  return [
    ranges === 'honoured'
      ? passed('ranges', 'parts of blobs can be read: interrupted downloads are resumed', 'yes')
      : warned(
          'ranges',
          RANGES[ranges],
          'an interrupted download restarts; large blobs are read over one connection',
          ranges,
        ),
    passed(
      'redirects',
      from === undefined
        ? 'the registry sends blobs itself'
        : `blobs come from ${from}: it has to be reachable`,
      from === undefined ? 'no' : 'yes',
    ),
    ...limits.map((limit) => passed('limits', limit, limit)),
  ];
}

const RANGES = {
  ignored: 'requests for a part of a blob are answered with all of it',
  garbled: 'requests for a part of a blob are answered with another part',
  refused: 'requests for a part of a blob are refused (416)',
} as const;

async function firstImage(
  root: Manifest,
  read: (digest: Digest) => Promise<Manifest | undefined>,
): Promise<Manifest | undefined> {
  const [child] = childManifests(root.view);
  return root.view.kind === 'index' && child !== undefined ? await read(child.digest) : root;
}
