import type {Repositories} from '../apply/apply-context.ts';
import type {Digest} from '../model/digest.ts';
import type {Report} from '../model/event.ts';
import type {SeenManifest} from '../model/manifest.ts';
import type {CopyPlan} from '../model/plan.ts';
import {parsePlatform} from '../model/platform.ts';
import type {Call} from '../model/port.ts';
import {observeRoute} from '../observe/observe-route.ts';
import type {Tag} from '../model/reference.ts';
import {attachmentSubject} from '../plan/attachment.ts';
import {type Naming, tagSelector} from '../plan/filters.ts';
import {makeCopyPlan} from '../plan/copy-plan.ts';
import type {CopyEnd, CopyWish} from './copy-wish.ts';

/** A plan, with the manifests that were read for it, so that applying it at once need not read them again. */
export interface MadePlan {
  readonly plan: CopyPlan;
  readonly observed: ReadonlyMap<Digest, SeenManifest>;
}

/** Observes both sides, then decides. Nothing is written anywhere. */
export async function makePlan(
  {wish, source, destination, toTag}: CopyWish,
  repositories: Repositories,
  report: Report,
  call: Call,
): Promise<MadePlan> {
  const {filters} = wish;
  const {tag, digest} = source;
  const single = tag !== undefined || digest !== undefined || toTag !== undefined;
  // The filters are checked before anything is asked.
  const select = tagSelector(filters, namingOf(source, destination));
  filters.platforms?.forEach(parsePlatform);
  const looksInside =
    filters.newest !== undefined ||
    filters.newerThan !== undefined ||
    (filters.platforms?.length ?? 0) > 0;
  const what = source.repository;
  const route = await observeRoute(
    {
      source: repositories.source(what),
      destination: repositories.destination(destination.repository),
      ...(single ? {reference: {...(tag ? {tag} : {}), ...(digest ? {digest} : {})}} : {}),
      ...(toTag === undefined ? {} : {toTag}),
      ...(destination.isLayout ? {} : {unnamedAs: LATEST}),
      select,
      attachmentSubject,
      configs: looksInside,
      readAll: looksInside,
      progress: (done, total) => report({type: 'observing', what, done, total}),
    },
    call,
  );
  const plan = makeCopyPlan({wish, routes: [{...route, single}]});
  return {plan, observed: route.source.manifests};
}

/** What docker, crane and skopeo call an image where nobody says how. */
const LATEST = 'latest' as Tag;

function namingOf(source: CopyEnd, destination: CopyEnd): Naming {
  if (!source.isLayout) return 'tags';
  return destination.isLayout ? 'names' : 'names-to-tags';
}
