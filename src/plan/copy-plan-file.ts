import {
  copiesOf,
  type CopyPlan,
  creationsOf,
  deletionsOf,
  PLAN_FORMAT,
  type PlannedRoute,
  type Skip,
} from '../model/plan.ts';
import {createRecords, createSteps} from './create-steps.ts';
import {deleteRecordsOf, deletionsFrom} from './delete-records.ts';
import {registryOf} from './blob-actions.ts';
import {isStepCheck, stepChecks} from './copy-checks.ts';
import type {CopyPlanContent, CopyPlanFile} from './copy-plan-schema.ts';
import {notWhole, TableWriter} from './plan-tables.ts';
import {RecordError, TableReader} from './table-reader.ts';
import type {BlobRecord} from './schema-parts.ts';
import {totalsOf, type UncostedCopy, withEstimates} from './totals.ts';

/** @throws TransshipError INTERNAL if the plan refers to something that it does not contain */
export function encodeCopyPlan(plan: Omit<CopyPlan, 'id'>): CopyPlanContent {
  const {kind, wish, routes, manifests, blobs, skipped, checks} = plan;
  const writer = new TableWriter(manifests, blobs, routes);
  const copies = writer.copies(copiesOf(plan));
  const blobActions = writer.blobs(blobs);
  const skips = writer.skips(skipped);
  const known = {copies: copiesOf(plan), skipped};
  const deletions = deleteRecordsOf(deletionsOf(plan), known, writer);
  const rows = writer.routes.map(([from, to], at): CopyPlanFile['routes'][number] => {
    const route = routes[at];
    if (route === undefined) throw notWhole(`route ${at}`);
    return [from, to, route.wish];
  });
  return {
    format: PLAN_FORMAT,
    kind,
    wish,
    ...writer.tables,
    routes: rows,
    creations: createRecords(creationsOf(plan)),
    copies,
    deletions,
    blobActions,
    skipped: skips,
    checks: checks.filter((check) => !isStepCheck(check)),
  };
}

/**
 * @param most maximum number of entries in lists that the file implies but does not contain
 * @throws RecordError
 */
export function decodeCopyPlan(file: CopyPlanFile, most: number): CopyPlan {
  const {format, id, signature, kind, wish} = file;
  const ends = file.routes.map(([from, to]) => [from, to] as const);
  const reader = new TableReader(file, ends, most);
  const routes = file.routes.map(([, , index], at): PlannedRoute => {
    if (index >= wish.routes.length)
      throw new RecordError(`routes.${at}.2`, `${index} is not in wish.routes`);
    return {...reader.route(at, `routes.${at}`), wish: index};
  });
  const {manifests} = reader;
  const blobs = reader.blobs(file.blobActions, 'blobActions');
  const copies = withEstimates(reader.copies(file.copies, 'copies'), manifests, blobs);
  const skipped = reader.skips(file.skipped);
  throwUnlessReviewable(file.blobActions, copies, skipped, reader);
  const deletions = deletionsFrom(file.deletions, {copies, skipped}, reader);
  const steps = [...createSteps(file.creations), ...copies, ...deletions];
  return {
    format,
    id,
    ...(signature === undefined ? {} : {signature}),
    kind,
    wish,
    routes,
    steps,
    manifests,
    blobs,
    skipped,
    checks: [...file.checks, ...stepChecks(copies, manifests, blobs)],
    totals: totalsOf(copies, blobs, skipped),
  };
}

/**
 * A review shows the images of a plan, not the source of each blob. A blob may therefore come only from a repository
 * from which an image is copied to the same destination, and may be mounted only from a repository on the same registry
 * that the plan names for an image.
 * @throws RecordError
 */
function throwUnlessReviewable(
  records: readonly BlobRecord[],
  copies: readonly UncostedCopy[],
  skipped: readonly Skip[],
  reader: TableReader,
): void {
  const routes = new Set(copies.map(({from, to}) => `${from} ${to}`));
  const present = skipped.filter((skip) => skip.reason === 'present');
  const shown = new Set([...copies, ...present].flatMap(({from, to}) => [from, to]));
  for (const [at, {action, route, mountFrom}] of records.entries()) {
    if (action !== 'copy' && action !== 'mount') continue;
    const place = `blobActions.${at}`;
    const {from, to} = reader.route(route, `${place}.route`);
    if (!routes.has(`${from} ${to}`))
      throw new RecordError(place, `no image is copied from ${from} to ${to}`);
    if (mountFrom === undefined) continue;
    const holder = reader.repository(mountFrom, `${place}.mountFrom`);
    if (
      !shown.has(holder) ||
      registryOf(holder) === undefined ||
      registryOf(holder) !== registryOf(to)
    )
      throw new RecordError(
        `${place}.mountFrom`,
        `no image of the plan is in ${holder}, at the registry of ${to}`,
      );
  }
}
