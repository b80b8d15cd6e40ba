import type {CreateStep} from '../model/plan.ts';
import type {CreateRecord} from './schema-parts.ts';

/** It is looked for, created, and looked for again. */
const REQUESTS = 3;

/**
 * What has to be created, as steps of a plan.
 * @param wanted parents before what is in them
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

/** As plan files have them. */
export function createRecords(steps: readonly CreateStep[]): readonly CreateRecord[] {
  return steps.map(({kind, gitlab, registry, path, visibility}) => ({
    kind,
    gitlab,
    registry,
    path,
    visibility,
  }));
}

/** Whether images of a repository, `host/path`, are in what a step creates. */
export function isInside(repository: string, {registry, path}: CreateStep): boolean {
  // Image paths are lower case, whatever a project's is.
  const root = `${registry}/${path.toLowerCase()}`;
  return repository === root || repository.startsWith(`${root}/`);
}
