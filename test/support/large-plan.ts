import type {Digest} from '../../src/model/digest.ts';
import type {Manifest} from '../../src/model/manifest.ts';
import type {CopyPlan} from '../../src/model/plan.ts';
import {type CopyRoute, makeCopyPlan} from '../../src/plan/copy-plan.ts';
import {destination, image, layer, source} from './inventories.ts';

/** A plan as teams have them that leave a registry: many repositories, and as many tags in each. */

export const SOURCE = 'harbor.acme.example';
export const TARGET = 'registry.acme.example/acme';

/** A base of one team in ten, layers of the repository, and one layer and a config of each image's own. */
function images(repository: number, tags: number): Record<string, Manifest> {
  const shared = [0, 1, 2, 3].map((at) => layer(`base ${repository % 50} ${at}`));
  const own = [0, 1].map((at) => layer(`repository ${repository} ${at}`));
  return Object.fromEntries(
    Array.from({length: tags}, (_, tag) => {
      const last = layer(`image ${repository} ${tag}`);
      return [`v1.${tag}.0-build.${1000 + tag}`, image([...shared, ...own, last])];
    }),
  );
}

/** `team-3/service-28`. */
export function repositoryName(at: number): string {
  return `team-${at % 25}/service-${at}`;
}

/** @param there what the destination has of the tags of a repository, by their names */
export function largeRoutes(
  repositories: number,
  tags: number,
  there: (repository: number, tags: Readonly<Record<string, Manifest>>) => Record<string, Digest>,
): readonly CopyRoute[] {
  return Array.from({length: repositories}, (_, at) => {
    const all = images(at, tags);
    const name = repositoryName(at);
    return {
      source: source(`${SOURCE}/${name}`, all),
      destination: destination(`${TARGET}/${name}`, there(at, all)),
      wish: 0,
    };
  });
}

/** A plan of these routes, as a migration file asks for it. */
export function largePlan(routes: readonly CopyRoute[]): CopyPlan {
  const wishes = ['**', '*'].map((pattern, at) => ({
    source: `${SOURCE}/${pattern}`,
    destination: TARGET,
    filters: {},
    at: {file: 'plans/acme.yaml', line: 5 + at, column: 5},
  }));
  return makeCopyPlan({wish: {routes: wishes}, routes});
}
