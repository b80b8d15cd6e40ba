import {HttpClient} from '../../src/http/client.ts';
import type {RetryPolicy} from '../../src/http/retry.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {Registry, type RegistryRepository} from '../../src/registry/registry.ts';
import {type Handler, type HttpServer, startHttpServer} from './http-server.ts';

/** Pauses between attempts are short. */
export const HASTY = {attempts: 4, attemptsAt500: 4, baseMs: 1, capMs: 1, budgetMs: 1000};

/** Runs with the repository `a/b` of a registry that answers so. */
export async function againstRegistry(
  handler: Handler,
  run: (
    repository: RegistryRepository,
    server: HttpServer,
    registry: Registry,
    notices: readonly string[],
  ) => Promise<void>,
  retry: RetryPolicy = HASTY,
): Promise<void> {
  await using server = await startHttpServer(handler);
  await using http = new HttpClient({retry});
  const notices: string[] = [];
  const registry = new Registry({
    host: server.host,
    side: 'source',
    http,
    plainHttp: true,
    notice: ({message}) => notices.push(message),
  });
  await run(registry.repository('a/b' as RepositoryPath), server, registry, notices);
}
