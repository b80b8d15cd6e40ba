import {type Digest, isDigest} from '../model/digest.ts';
import {isWebPage} from '../http/web-page.ts';
import {list, z} from '../model/schema.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {RegistryConnection} from './connection.ts';
import {NAME_LIMITS, PAGE_SIZE, readList, readPage, invalidList} from './paging.ts';
import {registryRefusal} from './refusal.ts';
import {pullScope} from './scope.ts';

/** The properties that a registry reports at the base of its API. Only GitLab's reports more than its clock. */
export interface RegistryTraits {
  /** The version of GitLab's registry. */
  readonly version?: string;
  /** Whether a tag can be deleted without the other tags of its digest. */
  readonly deletesTags: boolean;
  /** Whether it has a metadata database, which can move repositories and list tags with their times. */
  readonly database: boolean;
  /** Its clock, in ms since the epoch, to a second. */
  readonly clock?: number;
  /** A web page answers there: a proxy's, or no registry's at all. */
  readonly isPage?: true;
}

/**
 * Requests the base of the API, `GET /v2/`, with authorization, without which the headers are missing (GitLab container
 * registry: registry/handlers/app.go, `apiBase`).
 * @throws TransshipError the registry's refusals
 */
export async function readTraits(
  connection: RegistryConnection,
  call: Call,
): Promise<RegistryTraits> {
  const response = await connection.send({
    method: 'GET',
    target: '',
    path: undefined,
    scopes: [],
    ...call,
  });
  if (response.status !== 200) throw await registryRefusal(response);
  await response.discard();
  const version = response.header('gitlab-container-registry-version');
  const features = response.header('gitlab-container-registry-features') ?? '';
  const clock = Date.parse(response.header('date') ?? '');
  return {
    ...(version === undefined ? {} : {version}),
    deletesTags: features.split(/[\s,]+/).includes('tag_delete'),
    database: response.header('gitlab-container-registry-database-enabled') === 'true',
    ...(Number.isNaN(clock) ? {} : {clock}),
    ...(isWebPage(response) ? {isPage: true} : {}),
  };
}

const tagsSchema = list(
  z.object({
    name: z.string(),
    published_at: z.string().nullish(),
    created_at: z.string().nullish(),
    digest: z.string().nullish(),
  }),
);

type TagDetails = z.infer<typeof tagsSchema>[number];

/**
 * When each tag was last pushed, in ms since the epoch; undefined: the registry does not report it.
 * @throws TransshipError the registry's refusals
 */
export async function readTagTimes(
  connection: RegistryConnection,
  path: RepositoryPath,
  call: Call,
): Promise<ReadonlyMap<string, number> | undefined> {
  const tags = await readTags(connection, path, call);
  if (tags === undefined) return undefined;
  const times = new Map<string, number>();
  for (const [name, {published_at: published, created_at: created}] of tags) {
    const time = Date.parse(published ?? created ?? '');
    if (!Number.isNaN(time)) times.set(name, time);
  }
  return times;
}

/**
 * The digest of each tag; undefined: the registry does not list them.
 * @throws TransshipError the registry's refusals
 */
export async function readTagDigests(
  connection: RegistryConnection,
  path: RepositoryPath,
  call: Call,
): Promise<ReadonlyMap<string, Digest> | undefined> {
  const tags = await readTags(connection, path, call);
  if (tags === undefined) return undefined;
  const digests = new Map<string, Digest>();
  for (const [name, {digest}] of tags) if (digest && isDigest(digest)) digests.set(name, digest);
  return digests;
}

/**
 * The details of all tags, by name (GitLab container registry: docs/spec/gitlab/api.md, "List Repository Tags");
 * undefined: there is no such list, or it fails.
 */
async function readTags(
  connection: RegistryConnection,
  path: RepositoryPath,
  call: Call,
): Promise<ReadonlyMap<string, TagDetails> | undefined> {
  return await readList<TagDetails>(connection, {
    first: {
      method: 'GET',
      target: `../gitlab/v1/repositories/${path}/tags/list/?n=${PAGE_SIZE}`,
      path,
      scopes: [pullScope(path)],
      ...call,
    },
    isOfNames: false,
    limits: NAME_LIMITS,
    keyOf: ({name}) => name,
    read: async (response) => {
      if (response.status === 404) {
        await response.discard();
        return undefined;
      }
      // All of it fails in GitLab 19.0.0 and 19.0.1, while `/v2/` works (GitLab: issue 600955).
      if (response.status >= 500) {
        await response.discard();
        const reason = `GET ${response.request.url.href} answered ${response.status}`;
        connection.featureNotUsed('database', reason, 'tags are read one by one');
        return undefined;
      }
      if (response.status !== 200) throw await registryRefusal(response);
      const page = tagsSchema.safeParse(await readPage(response));
      if (page.success) return page.data;
      throw invalidList(response, 'is not a list of tags', page.error);
    },
  });
}
