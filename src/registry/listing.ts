import {z} from '../model/schema.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Connection} from './connection.ts';
import {PAGE_SIZE, pages, readPage, unreadable} from './paging.ts';
import {refusal} from './refusal.ts';
import {CATALOG_SCOPE, pullScope} from './scope.ts';

const tagsSchema = z.object({tags: z.array(z.string()).nullish()});
const catalogSchema = z.object({repositories: z.array(z.string()).nullish()});

/**
 * All tags of a repository, as the registry has them, also an empty name; undefined: there is no such repository.
 * Listed twice, as happens when tags come and go meanwhile, a tag is given once.
 */
export async function listTags(
  connection: Connection,
  path: RepositoryPath,
  call: Call,
): Promise<readonly string[] | undefined> {
  const names = new Set<string>();
  for await (const answer of pages(connection, {
    method: 'GET',
    target: `${path}/tags/list?n=${PAGE_SIZE}`,
    path,
    scopes: [pullScope(path)],
    ...call,
  })) {
    if (answer.status === 404) {
      const error = await refusal(answer, {notFound: 'REPOSITORY_NOT_FOUND'});
      if (error.code === 'NOT_A_REGISTRY') throw error;
      return undefined;
    }
    if (answer.status !== 200) throw await refusal(answer);
    const page = tagsSchema.safeParse(await readPage(answer));
    if (!page.success) throw unreadable(answer, 'is not a list of tags', page.error);
    for (const tag of page.data.tags ?? []) names.add(tag);
  }
  return [...names];
}

/** All repositories of a registry that shows them (`/v2/_catalog`, no part of the OCI specification). */
export async function listCatalog(connection: Connection, call: Call): Promise<readonly string[]> {
  const names = new Set<string>();
  for await (const answer of pages(connection, {
    method: 'GET',
    target: `_catalog?n=${PAGE_SIZE}`,
    path: undefined,
    scopes: [CATALOG_SCOPE],
    ...call,
  })) {
    if (answer.status !== 200) {
      throw await refusal(answer, {notFound: 'UNSUPPORTED_BY_REGISTRY'});
    }
    const page = catalogSchema.safeParse(await readPage(answer));
    if (!page.success) throw unreadable(answer, 'is not a list of repositories', page.error);
    for (const name of page.data.repositories ?? []) names.add(name);
  }
  return [...names];
}
