import {TransshipError} from '../model/error.ts';
import type {RepositoryLister} from '../model/port.ts';
import {isWithin} from '../model/reference.ts';
import type {Registry} from '../registry/registry.ts';
import {repositoriesNotListed, saysNotListed} from './api-list.ts';

/**
 * The repositories that a registry lists at `/v2/_catalog`, for which it asks for the scope `registry:catalog:*`. It is no
 * part of the OCI specification: many registries show it to administrators only, or not at all.
 */
export function catalogLister(registry: Registry): RepositoryLister {
  const name = `the registry ${registry.host}`;
  return {
    name,
    async *listRepositories(prefix, call) {
      const names = await registry.catalog(call).catch((error: unknown) => {
        if (!(error instanceof TransshipError) || !saysNotListed(error)) throw error;
        const hint =
          'many registries show their catalog to administrators only: use the login of one, or name the product with --source-kind';
        throw repositoriesNotListed(name, error.message, hint, error);
      });
      for (const repository of names) if (isWithin(repository, prefix)) yield {repository};
    },
  };
}
