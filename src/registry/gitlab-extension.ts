import {type Digest, isDigest} from '../model/digest.ts';
import {isWebPage} from '../http/web-page.ts';
import {list, z} from '../model/schema.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Connection} from './connection.ts';
import {NAME_LIMITS, PAGE_SIZE, readList, readPage, unreadable} from './paging.ts';
import {refusal} from './refusal.ts';
import {pullScope} from './scope.ts';

/** What a registry reports at the base of its API. Only GitLab's reports more than the time. */
export interface RegistryTraits {
  /** GitLab's version of it. */
  readonly version?: string;
  /** Whether a tag can be deleted alone, without the others of its digest. */
  readonly deletesTags: boolean;
  /** Whether it has a metadata database, which can move repositories and list tags with their times. */
  readonly database: boolean;
  /** Its clock, in ms since the epoch, to a second. */
  readonly clock?: number;
  /** A web page answers there: a proxy's, or no registry's at all. */
  readonly isPage?: true;
}

/**
 * Asks the base of the API, `GET /v2/`, with authorization: without it the headers are not there (GitLab container
 * registry: registry/handlers/app.go, `apiBase`).
 * @throws TransshipError the registry's refusals
 */
export async function readTraits(connection: Connection, call: Call): Promise<RegistryTraits> {
  const answer = await connection.send({
    method: 'GET',
    target: '',
    path: undefined,
    scopes: [],
    ...call,
  });
  if (answer.status !== 200) throw await refusal(answer);
  await answer.discard();
  const version = answer.header('gitlab-container-registry-version');
  const features = answer.header('gitlab-container-registry-features') ?? '';
  const clock = Date.parse(answer.header('date') ?? '');
  return {
    ...(version === undefined ? {} : {version}),
    deletesTags: features.split(/[\s,]+/).includes('tag_delete'),
    database: answer.header('gitlab-container-registry-database-enabled') === 'true',
    ...(Number.isNaN(clock) ? {} : {clock}),
    ...(isWebPage(answer) ? {isPage: true} : {}),
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
 * When each tag was last pushed, in ms since the epoch; undefined: the registry does not know.
 * @throws TransshipError the registry's refusals
 */
export async function readTagTimes(
  connection: Connection,
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
 * What each tag points to; undefined: the registry does not list it.
 * @throws TransshipError the registry's refusals
 */
export async function readTagDigests(
  connection: Connection,
  path: RepositoryPath,
  call: Call,
): Promise<ReadonlyMap<string, Digest> | undefined> {
  const tags = await readTags(connection, path, call);
  if (tags === undefined) return undefined;
  const digests = new Map<string, Digest>();
  for (const [name, {digest}] of tags) if (digest && isDigest(digest)) digests.set(name, digest);
  return digests;
}

/** By name (GitLab container registry: docs/spec/gitlab/api.md, "List Repository Tags"); undefined: there is no such list, or it fails. */
async function readTags(
  connection: Connection,
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
    read: async (answer) => {
      if (answer.status === 404) {
        await answer.discard();
        return undefined;
      }
      // All of it fails in GitLab 19.0.0 and 19.0.1, while `/v2/` works (GitLab: issue 600955).
      if (answer.status >= 500) {
        await answer.discard();
        const reason = `GET ${answer.request.url.href} answered ${answer.status}`;
        connection.featureNotUsed('database', reason, 'tags are read one by one');
        return undefined;
      }
      if (answer.status !== 200) throw await refusal(answer);
      const page = tagsSchema.safeParse(await readPage(answer));
      if (page.success) return page.data;
      throw unreadable(answer, 'is not a list of tags', page.error);
    },
  });
}
