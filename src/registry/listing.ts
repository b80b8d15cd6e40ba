import {list, z} from '../model/schema.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {RegistryConnection} from './connection.ts';
import {NAME_LIMITS, readList, readPage, invalidList} from './paging.ts';
import {registryRefusal} from './refusal.ts';
import {CATALOG_SCOPE, pullScope} from './scope.ts';

/** Some registries list `null` among the tags. It is treated as an empty name, which is invalid. */
const tagName = z
  .string()
  .nullable()
  .transform((name) => name ?? '');
const tagsSchema = z.object({tags: list(tagName).nullish()});
const catalogSchema = z.object({repositories: list(z.string()).nullish()});
const itself = (name: string) => name;

/** All tags of a repository as listed, including an empty name; undefined: the repository does not exist. */
export async function listTags(
  connection: RegistryConnection,
  path: RepositoryPath,
  call: Call,
): Promise<readonly string[] | undefined> {
  const names = await readList(connection, {
    first: {
      method: 'GET',
      target: `${path}/tags/list`,
      path,
      scopes: [pullScope(path)],
      ...call,
    },
    isOfNames: true,
    limits: NAME_LIMITS,
    keyOf: itself,
    read: async (response) => {
      if (response.status === 404) {
        const error = await registryRefusal(response, {notFound: 'REPOSITORY_NOT_FOUND'});
        if (error.code === 'NOT_A_REGISTRY') throw error;
        return undefined;
      }
      if (response.status !== 200) throw await registryRefusal(response);
      const page = tagsSchema.safeParse(await readPage(response));
      if (page.success) return page.data.tags ?? [];
      throw invalidList(response, 'is not a list of tags', page.error);
    },
  });
  return names && [...names.keys()];
}

/** All repositories of a registry that lists them (`/v2/_catalog`, which is not part of the OCI specification). */
export async function listCatalog(
  connection: RegistryConnection,
  call: Call,
): Promise<readonly string[]> {
  const names = await readList(connection, {
    first: {method: 'GET', target: '_catalog', path: undefined, scopes: [CATALOG_SCOPE], ...call},
    isOfNames: true,
    limits: NAME_LIMITS,
    keyOf: itself,
    read: async (response) => {
      if (response.status !== 200) {
        throw await registryRefusal(response, {notFound: 'UNSUPPORTED_BY_REGISTRY'});
      }
      const page = catalogSchema.safeParse(await readPage(response));
      if (page.success) return page.data.repositories ?? [];
      throw invalidList(response, 'is not a list of repositories', page.error);
    },
  });
  return [...(names?.keys() ?? [])];
}
