import type {CreateStep} from '../model/plan.ts';
import type {CreateRecord} from './schema-parts.ts';

/** Look it up, create it, and look it up again. */
const REQUESTS = 3;

/**
 * The steps that create groups and projects.
 * @param wanted parents first
 */
export function createSteps(wanted: readonly CreateRecord[]): readonly CreateStep[] {
  const ids = new Map(wanted.map((one) => [`${one.registry}/${one.path}`, idOf(one)]));
  return wanted.map(({kind, gitlab, registry, path, visibility}) => {
    const parent = ids.get(`${registry}/${path.slice(0, Math.max(0, path.lastIndexOf('/')))}`);
    return {
      kind,
      id: idOf({kind, registry, path}),
      gitlab,
      registry,
      path,
      visibility,
      needs: parent === undefined ? [] : [parent],
      why: 'it does not exist',
      estimate: {bytes: 0, requests: REQUESTS},
    };
  });
}

function idOf({kind, registry, path}: Pick<CreateRecord, 'kind' | 'registry' | 'path'>): string {
  return `${kind}:${registry}/${path}`;
}

/** The records in a plan file. */
export function createRecords(steps: readonly CreateStep[]): readonly CreateRecord[] {
  return steps.map(({kind, gitlab, registry, path, visibility}) => ({
    kind,
    gitlab,
    registry,
    path,
    visibility,
  }));
}

/** Whether a repository, `host/path`, is in the group or project that a step creates. */
export function isInside(repository: string, {registry, path}: CreateStep): boolean {
  // Image paths are in lower case, even if the path of the project is not.
  const root = `${registry}/${path.toLowerCase()}`;
  return repository === root || repository.startsWith(`${root}/`);
}
