import {createHash} from 'node:crypto';
import type {CopyPlan, RouteWish, WishFilters} from '../../src/model/plan.ts';
import type {ObservedRoute} from '../../src/plan/candidate.ts';
import {makeCopyPlan} from '../../src/plan/copy-plan.ts';

/** A plan of these routes, all asked for at once. */
export function copyPlan(
  routes: readonly ObservedRoute[],
  filters: WishFilters = {},
  wish: Partial<RouteWish> = {},
): CopyPlan {
  return makeCopyPlan({
    wish: {routes: [{source: 'a.test/app', destination: 'b.test/app', filters, ...wish}]},
    routes: routes.map((route) => ({...route, wish: 0})),
  });
}

/** A plan file with the id that fits, as everybody can make one. */
export function identified(file: object): object {
  const {id: _id, signature: _signature, ...content} = file as Record<string, unknown>;
  const hex = createHash('sha256').update(canonical(content)).digest('hex');
  return {...content, id: `sha256:${hex}`};
}

function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const fields = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical((value as Record<string, unknown>)[key])}`);
  return `{${fields.join(',')}}`;
}
