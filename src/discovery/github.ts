import {nextLink} from '../http/header-fields.ts';
import {TransshipError} from '../model/error.ts';
import type {Call, ListedRepository, RepositoryLister} from '../model/port.ts';
import {isWithin} from '../model/reference.ts';
import {list, z} from '../model/schema.ts';
import {
  type ProductApi,
  type ApiList,
  listedTime,
  type ListerOptions,
  ownerIn,
  readPages,
} from './api-list.ts';

export const GITHUB_REGISTRY = 'ghcr.io';
const API = new URL('https://api.github.com/');
/** GitHub's maximum page size (docs.github.com/rest/packages/packages, "per_page"). */
const PAGE_SIZE = 100;

const packages = list(z.object({name: z.string(), updated_at: listedTime}));

/**
 * Lists the container packages of one owner on GitHub by `GET /orgs/{org}/packages` or `/users/{username}/packages`
 * (docs.github.com/rest/packages/packages). The API requires a personal access token (classic) with the scope
 * `read:packages`, as the login for ghcr.io does.
 */
export function githubLister({host, baseUrl, http, credentials}: ListerOptions): RepositoryLister {
  const isPublic = host === GITHUB_REGISTRY;
  const api: ProductApi = {
    name: isPublic ? 'GitHub' : `GitHub at ${host}`,
    origin: isPublic ? API : new URL('/', baseUrl),
    http,
    authorization: async () => {
      const login = await credentials();
      return login?.kind === 'basic' ? `Bearer ${login.password}` : undefined;
    },
    headers: {accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28'},
    hint: `log in with a personal access token (classic) with the scope read:packages: docker login ${host}`,
  };
  // An enterprise server has its API below a path (docs.github.com/enterprise-server/rest).
  const base = isPublic ? '' : '/api/v3';
  return {
    name: api.name,
    listRepositories: (prefix, call) => ofOwner(api, base, prefix, call),
  };
}

/** Tries the owner as an organisation, then as a user. */
async function* ofOwner(
  api: ProductApi,
  base: string,
  prefix: string,
  call: Call,
): AsyncGenerator<ListedRepository> {
  const hint = `name an organisation or a user, such as ${GITHUB_REGISTRY}/OWNER`;
  const owner = ownerIn(prefix, 'owner', api.name, hint);
  const read = (kind: 'orgs' | 'users') => {
    const path = `${base}/${kind}/${encodeURIComponent(owner)}/packages`;
    const pages: ApiList<z.infer<typeof packages>> = {
      first: `${path}?package_type=container&per_page=${PAGE_SIZE}`,
      page: packages,
      next: (_page, response) => nextLink(response.header('link')),
    };
    return inPages(readPages(api, pages, call), owner, prefix);
  };
  try {
    yield* read('orgs');
  } catch (error) {
    const isNoOrganisation = error instanceof TransshipError && error.status === 404;
    if (!isNoOrganisation) throw error;
    yield* read('users');
  }
}

async function* inPages(
  pages: AsyncIterable<z.infer<typeof packages>>,
  owner: string,
  prefix: string,
): AsyncGenerator<ListedRepository> {
  for await (const page of pages) {
    for (const {name, updated_at: updated} of page) {
      // Names of owners may have upper-case letters; image paths do not.
      const repository = `${owner}/${name}`.toLowerCase();
      if (isWithin(repository, prefix)) yield {repository, ...(updated ? {updated} : {})};
    }
  }
}
