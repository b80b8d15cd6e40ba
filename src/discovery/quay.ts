import type {Call, ListedRepository, RepositoryLister} from '../model/port.ts';
import {isWithin} from '../model/reference.ts';
import {list, z} from '../model/schema.ts';
import type {Credentials} from '../registry/credentials/credentials.ts';
import {type ProductApi, type ApiList, type ListerOptions, ownerIn, readPages} from './api-list.ts';

/** The user name with which an OAuth token logs in to Quay's registry (quay/quay: auth/credential_consts.py). */
const OAUTH_USER = '$oauthtoken';

const pageSchema = z.object({
  repositories: list(
    z.object({
      namespace: z.string(),
      name: z.string(),
      /** Seconds since the epoch. */
      last_modified: z.number().nullish().catch(undefined),
    }),
  ),
  next_page: z.string().nullish(),
});

/**
 * Lists the repositories of one namespace of Quay by `GET /api/v1/repository` (quay/quay: endpoints/api/repository.py,
 * `listRepos`; `page_support` in endpoints/api/__init__.py). The API accepts OAuth tokens with the scope `repo:read`,
 * but no robot accounts; without a token, it lists public repositories.
 */
export function quayLister({host, baseUrl, http, credentials}: ListerOptions): RepositoryLister {
  const api: ProductApi = {
    name: `Quay at ${host}`,
    origin: baseUrl,
    http,
    authorization: async () => oauthToken(await credentials()),
    hint: `log in with an OAuth token with the scope repo:read: docker login --username '${OAUTH_USER}' ${host}`,
  };
  return {name: api.name, listRepositories: (prefix, call) => ofNamespace(api, prefix, call)};
}

function oauthToken(credentials: Credentials | undefined): string | undefined {
  if (credentials?.kind === 'registry-token') return `Bearer ${credentials.token}`;
  const isToken = credentials?.kind === 'basic' && credentials.username === OAUTH_USER;
  return isToken ? `Bearer ${credentials.password}` : undefined;
}

async function* ofNamespace(
  api: ProductApi,
  prefix: string,
  call: Call,
): AsyncGenerator<ListedRepository> {
  const hint = 'name a namespace after the host';
  const namespace = ownerIn(prefix, 'namespace', api.name, hint);
  const query = new URLSearchParams({namespace, public: 'true', last_modified: 'true'});
  const pages: ApiList<z.infer<typeof pageSchema>> = {
    first: `/api/v1/repository?${query.toString()}`,
    page: pageSchema,
    next: ({next_page: token}) => {
      if (!token) return undefined;
      query.set('next_page', token);
      return `?${query.toString()}`;
    },
  };
  for await (const page of readPages(api, pages, call)) {
    for (const {namespace: owner, name, last_modified: seconds} of page.repositories) {
      const repository = `${owner}/${name}`;
      if (!isWithin(repository, prefix)) continue;
      const updated = new Date((seconds ?? Number.NaN) * 1000);
      yield {
        repository,
        ...(Number.isNaN(updated.getTime()) ? {} : {updated: updated.toISOString()}),
      };
    }
  }
}
