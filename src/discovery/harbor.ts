import type {HttpResponse} from '../http/response.ts';
import {nextLink} from '../http/header-fields.ts';
import {clipped, TransshipError} from '../model/error.ts';
import type {Call, ListedRepository, RepositoryLister, UnlistedPart} from '../model/port.ts';
import {isWithin} from '../model/reference.ts';
import {list, z} from '../model/schema.ts';
import {basicAuthorization} from '../registry/token.ts';
import {
  type ProductApi,
  type ApiList,
  listedTime,
  type ListerOptions,
  type PageBudget,
  readPages,
} from './api-list.ts';

/** Harbor's maximum page size (goharbor/harbor: api/v2.0/swagger.yaml, `pageSize`). */
const PAGE_SIZE = 100;

/** For the lists of all projects together: as many pages as 50,000 projects have, and 200,000 repositories. */
const BUDGET: PageBudget = {pages: 60_000, bytes: 256 * 1024 * 1024};

const projects = list(z.object({name: z.string()}));
const repositories = list(
  z.object({
    /** With the project: `project/name`. */
    name: z.string(),
    update_time: listedTime,
  }),
);

/**
 * Lists the repositories of a Harbor 2 (goharbor/harbor: api/v2.0/swagger.yaml, `listProjects` and `listRepositories`),
 * with the login of its registry, including robot accounts (`robot$name`), as Basic authentication. Without a login,
 * Harbor shows public projects (src/server/v2.0/handler/project.go, `ListProjects`), whose repositories everybody may
 * list (src/common/rbac/project/rbac_user.go). In other projects, a robot account needs the permission to list
 * repositories, besides the one to pull.
 */
export function harborLister({host, baseUrl, http, credentials}: ListerOptions): RepositoryLister {
  const api: ProductApi = {
    name: `Harbor at ${host}`,
    origin: baseUrl,
    http,
    authorization: async () => {
      const login = await credentials();
      return login?.kind === 'basic' ? basicAuthorization(login) : undefined;
    },
    hint: `log in with docker login ${host}; a robot account needs the permission "List Repository"`,
  };
  return {
    name: api.name,
    listRepositories: (prefix, call) =>
      prefix === ''
        ? ofAllProjects(api, call)
        : ofProject(api, prefix.split('/')[0] ?? '', prefix, call),
  };
}

async function* ofAllProjects(
  api: ProductApi,
  call: Call,
): AsyncGenerator<ListedRepository | UnlistedPart> {
  const budget = {...BUDGET};
  const seen = new Set<string>();
  const all = readPages(api, numbered('/api/v2.0/projects', projects), call, budget);
  for await (const page of all) {
    for (const {name} of page) {
      if (seen.has(clipped(name))) continue;
      seen.add(clipped(name));
      try {
        yield* ofProject(api, name, '', call, budget);
      } catch (error) {
        // A robot account may see a project without the permission to list its repositories.
        if (!(error instanceof TransshipError) || error.code !== 'REPOSITORIES_NOT_LISTED')
          throw error;
        yield {part: name, error};
      }
    }
  }
}

async function* ofProject(
  api: ProductApi,
  project: string,
  prefix: string,
  call: Call,
  budget?: PageBudget,
): AsyncGenerator<ListedRepository> {
  const path = `/api/v2.0/projects/${encodeURIComponent(project)}/repositories`;
  for await (const page of readPages(api, numbered(path, repositories), call, budget)) {
    for (const {name, update_time: updated} of page) {
      if (isWithin(name, prefix)) yield {repository: name, ...(updated ? {updated} : {})};
    }
  }
}

/**
 * A list with numbered pages. `Link` names the next page; if a proxy removes it, `X-Total-Count` shows whether there
 * are more.
 */
function numbered<Item>(path: string, page: z.ZodType<Item[]>): ApiList<Item[]> {
  const pageUrl = (number: number) => `${path}?page=${number}&page_size=${PAGE_SIZE}`;
  let number = 1;
  let read = 0;
  return {
    first: pageUrl(number),
    page,
    next: (items, response) => {
      read += items.length;
      number++;
      const link = nextLink(response.header('link'));
      if (link !== undefined) return link;
      const isMore = items.length > 0 && read < totalOf(response);
      return isMore ? pageUrl(number) : undefined;
    },
  };
}

function totalOf(response: HttpResponse): number {
  const total = response.header('x-total-count') ?? '';
  return /^\d{1,9}$/.test(total) ? Number(total) : 0;
}
