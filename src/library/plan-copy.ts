import {TransshipError} from '../model/error.ts';
import type {CopyPlan} from '../model/plan.ts';
import type {CopyMigration} from '../plan/migration/migration.ts';
import {readMigration} from '../plan/migration/read-migration.ts';
import {archiveSizeOf, type CopyRequest, type CopyWish, readCopyWish} from './copy-wish.ts';
import {makePlan} from './make-plan.ts';
import {type MigrationOptions, readMigrationWish} from './migration-wish.ts';
import type {PruneWish} from './plan-deletions.ts';
import {redactedPlan} from './redaction.ts';
import type {Session} from './session.ts';

/**
 * Plans a copy: inspects the source and the destination, and changes nothing. A check with the result `forbid` in the
 * plan says why it cannot be applied; that is not an error here.
 * @throws TransshipError USAGE and REFERENCE_INVALID for a wrong request; what a registry or a file refuses
 */
export async function planCopy(session: Session, request: CopyRequest): Promise<CopyPlan> {
  return await session.run(async () => planWish(readCopyWish(request), session));
}

/** A migration file of copies (docs/migration-file.md), and what is wanted of it. */
export interface MigrationRequest extends MigrationOptions {
  /** The name of the file: in messages, and for what it names relative to itself. */
  readonly file: string;
  /** Its content: YAML. */
  readonly text: string;
  /**
   * The plan that was last made of this file and applied. Needed where the file prunes: only what that plan brought is
   * deleted. With `to`, the new plan leaves out what it brought.
   */
  readonly since?: CopyPlan;
  /** Write archives in numbered parts of this size in bytes, at least 64 KiB. */
  readonly archiveSize?: number;
  /** Read the platforms of all images, so that the plan names them. Default: those that the filters need. */
  readonly readPlatforms?: boolean;
}

/**
 * Plans what a migration file of copies asks for. Like `planCopy`, it changes nothing.
 * @throws TransshipError MIGRATION_INVALID, whose `problems` name lines and columns; USAGE; what a registry refuses
 */
export async function planMigration(
  session: Session,
  request: MigrationRequest,
): Promise<CopyPlan> {
  return await session.run(async () => {
    const migration = readMigration(request.text, request.file, session.environment);
    if (migration.kind === 'copy') return await planRoutes(session, migration, request);
    throw usage(`${request.file} moves projects of GitLab`, 'plan it with the command line');
  });
}

/** Plans the routes of a migration file that is read. @throws TransshipError as `planMigration` */
export async function planRoutes(
  session: Session,
  migration: CopyMigration,
  request: Omit<MigrationRequest, 'file' | 'text'>,
): Promise<CopyPlan> {
  const {since, archiveSize, to, from, readPlatforms = false} = request;
  const isByArchive = to !== undefined || from !== undefined;
  const prune = isByArchive ? undefined : pruneWish(migration, since);
  const {credentials} = session;
  if (from === undefined)
    credentials.announce(
      'source',
      migration.routes.map(({source}) => source.registry),
    );
  if (to === undefined)
    credentials.announce(
      'destination',
      migration.routes.flatMap((route) => route.to.map(({root}) => root.registry)),
    );
  const wish = await readMigrationWish(migration, request, session);
  const destinations = wish.routes.map(({destination}) => destination.repository);
  const asked = {
    ...wish,
    platforms: readPlatforms,
    wish: {...wish.wish, ...archiveSizeOf(archiveSize, destinations)},
    ...(prune === undefined ? {} : {prune}),
    ...(to === undefined || since === undefined ? {} : {since}),
  };
  return await planWish(asked, session);
}

async function planWish(wish: CopyWish, session: Session): Promise<CopyPlan> {
  const {places, report, reading, redactor} = session;
  const {plan: made, observed} = await makePlan(wish, places, report, reading);
  const plan = redactedPlan(made, redactor);
  session.observed.set(plan, observed);
  return plan;
}

/** Only what an earlier plan brought is ever pruned. @throws TransshipError USAGE where none is named */
function pruneWish(
  {prune, file}: CopyMigration,
  earlier: CopyPlan | undefined,
): PruneWish | undefined {
  if (prune === false) return undefined;
  if (earlier !== undefined) return {earlier, ...prune};
  throw usage(
    `${file} prunes, and no earlier plan is named`,
    'name the last plan of this file with --since OLD.plan.json: only what it brought is deleted; for the first plan, write "prune: false"',
  );
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
