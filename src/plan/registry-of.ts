import {parsePlace} from '../model/place.ts';

/**
 * The registry of a repository's name, between whose repositories blobs can be mounted. Undefined for files and
 * daemons, where nothing can.
 */
export function registryOf(repository: string): string | undefined {
  const place = parsePlace(repository);
  return place.transport === 'docker' ? place.reference.registry : undefined;
}
