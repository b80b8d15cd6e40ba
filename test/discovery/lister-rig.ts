import {HttpClient} from '../../src/http/client.ts';
import {TransshipError} from '../../src/model/error.ts';
import type {RepositoryLister} from '../../src/model/port.ts';
import type {ListerOptions} from '../../src/discovery/api-list.ts';
import type {Credentials} from '../../src/registry/credentials/credentials.ts';
import {HASTY} from '../support/registry-rig.ts';
import {NEVER} from '../support/streams.ts';

/** What a lister gave: repositories by name, with the time where it told one, and parts that it could not list. */
export interface Listed {
  readonly names: readonly string[];
  readonly updated: ReadonlySet<string | undefined>;
  readonly unlisted: Readonly<Record<string, string>>;
  readonly tokens: readonly string[];
}

/** Lists with the user's login, or without one. */
export async function listWith(
  open: (options: ListerOptions) => RepositoryLister,
  {host, url}: {readonly host: string; readonly url: string},
  prefix: string,
  login?: readonly [string, string],
): Promise<Listed> {
  await using http = new HttpClient({retry: HASTY});
  const tokens: string[] = [];
  const credentials: Credentials | undefined = login && {
    kind: 'basic',
    username: login[0],
    password: login[1],
  };
  const lister = open({
    host,
    baseUrl: new URL(`${url}/v2/`),
    http,
    credentials: () => Promise.resolve(credentials),
    learnToken: (token) => tokens.push(token),
  });
  return {...(await listed(lister, prefix)), tokens};
}

export async function listed(
  lister: RepositoryLister,
  prefix: string,
): Promise<Omit<Listed, 'tokens'>> {
  const names: string[] = [];
  const updated = new Set<string | undefined>();
  const unlisted: Record<string, string> = {};
  for await (const one of lister.listRepositories(prefix, {signal: NEVER})) {
    if ('part' in one) unlisted[one.part] = one.error.code;
    else {
      names.push(one.repository);
      updated.add(one.updated);
    }
  }
  return {names, updated, unlisted};
}

/** What the list fails with. */
export async function failure(listing: Promise<unknown>): Promise<TransshipError> {
  const outcome = await listing.catch((error: unknown) => error);
  if (outcome instanceof TransshipError) return outcome;
  throw new Error('the list did not fail', {cause: outcome});
}
