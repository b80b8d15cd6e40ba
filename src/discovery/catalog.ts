import {TransshipError} from '../model/error.ts';
import type {RepositoryLister} from '../model/port.ts';
import {isWithin} from '../model/reference.ts';
import type {Registry} from '../registry/registry.ts';
import {repositoriesNotListed, saysNotListed} from './api-list.ts';

/**
 * Lists the repositories of a registry by `/v2/_catalog`, which requires the scope `registry:catalog:*`. It is not part
 * of the OCI specification: many registries show it only to administrators, or not at all.
 */
export function catalogLister(registry: Registry): RepositoryLister {
  const name = `the registry ${registry.host}`;
  return {
    name,
    async *listRepositories(prefix, call) {
      const names = await registry.catalog(call).catch((error: unknown) => {
        if (!(error instanceof TransshipError) || !saysNotListed(error)) throw error;
        const hint =
          'many registries show their catalog only to administrators: log in as one, or name the product with --source-kind';
        throw repositoriesNotListed(name, error.message, hint, error);
      });
      for (const repository of names) if (isWithin(repository, prefix)) yield {repository};
    },
  };
}
