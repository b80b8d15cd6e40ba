import {isUtf8} from 'node:buffer';
import {type Command, InvalidArgumentError} from 'commander';
import {SOURCE_KINDS, type SourceKind} from '../../discovery/source-kind.ts';
import type {MigrationOptions} from '../../library/migration-wish.ts';
import {planRoutes} from '../../library/plan-copy.ts';
import {TransshipError} from '../../model/error.ts';
import type {CopyPlan, Plan} from '../../model/plan.ts';
import {canonicalRegistry} from '../../model/reference.ts';
import {readRegular} from '../../http/regular-file.ts';
import {readMigration} from '../../plan/migration/read-migration.ts';
import type {Migration} from '../../plan/migration/migration.ts';
import {MIGRATION_SIZE_LIMIT} from '../../plan/migration/yaml-source.ts';
import {migrationDocument, renderMigration} from '../../report/migration.ts';
import {printableJson} from '../../report/words.ts';
import {addSinceFlags, giveDelta, readEarlierPlan, type SinceFlags} from '../earlier-plan.ts';
import {throwIfBegun} from '../earlier-transfers.ts';
import {addGitLabFlags, type GitLabFlags} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {
  addArchiveSizeFlag,
  type ArchiveFlags,
  addCacheFlag,
  addHostFlags,
  addProgressFlag,
  type HostFlags,
} from '../options.ts';
import {addMakeFlags, givePlan, type MakeFlags} from '../plan-file.ts';
import {readsPlatforms} from '../plan-policy.ts';
import type {ProgressFlags} from '../reporters/choose.ts';
import {addPlanningFlags, type PlanningFlags, planTransferMigration} from '../plan-moves.ts';
import {withSession} from '../session.ts';
import {repeatable} from '../variables.ts';

interface Flags
  extends ProgressFlags,
    HostFlags,
    ArchiveFlags,
    GitLabFlags,
    MigrationOptions,
    MakeFlags,
    SinceFlags,
    PlanningFlags {
  readonly check?: boolean;
}

/**
 * `transship plan FILE.yaml`, the default of `plan`: an argument that is not a subcommand is a file. A file called
 * `copy` is written as `./copy`.
 */
export function addPlanMigration(plan: Command, io: Io, done: (exitCode: number) => void): void {
  const command = plan
    .command('file', {isDefault: true})
    .summary('plan what a migration file says: transship plan FILE.yaml')
    .description(
      'Finds the repositories or projects that a migration file means, inspects sources and destinations, prints the review and, with --out, writes the plan. Changes nothing, except for transfers what "plan transfer" changes.',
    )
    .argument('[file]', 'a migration file (docs/migration-file.md); may follow "plan" directly')
    .option('--check', 'only check the file, offline; prints its routes or all problems')
    .option(
      '--source-kind <host=kind>',
      `how a host lists its repositories: ${SOURCE_KINDS.join(', ')} (repeatable; default: found by itself)`,
      sourceKindOf,
    )
    .option('--to <place>', 'copy everything into oci-archive:FILE or oci:DIR instead')
    .option('--from <place>', 'copy everything out of such an archive instead')
    .addHelpText(
      'after',
      `
Examples:
  transship plan plans/acme.yaml --check
  transship plan plans/acme.yaml --out acme.plan.json --detailed-exitcode
  transship plan plans/acme.yaml --since acme.plan.json --out week2.plan.json
  transship plan plans/acme.yaml --to oci-archive:acme.tar --archive-size 4GiB --out export.plan.json
  transship plan plans/acme.yaml --from oci-archive:acme.tar --out import.plan.json`,
    );
  addPlanningFlags(addSinceFlags(addArchiveSizeFlag(command)));
  addMakeFlags(addProgressFlag(addCacheFlag(addHostFlags(addGitLabFlags(command)))));
  command.action(async (file: string | undefined, flags: Flags) => {
    if (file === undefined) {
      throw new TransshipError('USAGE', 'no command and no file was given', {
        side: 'local',
        hint: 'write plan copy, plan transfer, or plan FILE.yaml',
      });
    }
    const text = await readMigrationText(file);
    if (flags.check === true) {
      done(checkMigration(text, file, flags, io));
      return;
    }
    const migration = readMigration(text, file, io.env);
    if (flags.out !== undefined) await throwIfBegun(flags.out, io);
    const earlier = await readEarlierPlan(
      flags,
      {name: '--out', file: flags.out},
      {name: 'the migration file', file},
    );
    if (earlier && migration.kind === 'transfer') {
      throw new TransshipError('USAGE', '--since is for copies, and the file is of transfers', {
        side: 'local',
        hint: 'leave --since out',
      });
    }
    throwUnlessAlone(migration, flags);
    const made = await migrationPlan(migration, earlier, flags, io);
    const exitCode = await givePlan(made, flags, io);
    if (earlier && made.kind === 'copy') await giveDelta(earlier, made, flags, io);
    done(exitCode);
  });
}

async function migrationPlan(
  migration: Migration,
  earlier: CopyPlan | undefined,
  flags: Flags,
  io: Io,
): Promise<Plan> {
  if (migration.kind === 'transfer') return await planTransferMigration(migration, flags, io);
  const {to, from, sourceKind, archiveSize} = flags;
  const request = {
    ...(to === undefined ? {} : {to}),
    ...(from === undefined ? {} : {from}),
    ...(sourceKind === undefined ? {} : {sourceKind}),
    ...(archiveSize === undefined ? {} : {archiveSize}),
    ...(earlier === undefined ? {} : {since: earlier}),
    readPlatforms: await readsPlatforms(flags),
  };
  return await withSession(io, flags, (session) => planRoutes(session, migration, request));
}

/** @throws TransshipError USAGE */
function throwUnlessAlone({kind}: Migration, {from, to}: Flags): void {
  const isByArchive = from !== undefined || to !== undefined;
  const why =
    from !== undefined && to !== undefined
      ? '--to and --from exclude each other'
      : isByArchive && kind === 'transfer'
        ? '--to and --from are for copies, and the file is of transfers'
        : undefined;
  if (why === undefined) return;
  throw new TransshipError('USAGE', why, {side: 'local', hint: 'leave one of them out'});
}

/** Parses `host=kind`. */
const sourceKindOf = repeatable(
  (text: string, before: ReadonlyMap<string, SourceKind> = new Map()) => {
    const [, host = '', name] = /^([^=]+)=(.*)$/.exec(text) ?? [];
    const kind = SOURCE_KINDS.find((one) => one === name);
    if (kind !== undefined) return new Map([...before, [canonicalRegistry(host), kind]]);
    throw new InvalidArgumentError('write HOST=KIND, such as registry.example.com=harbor');
  },
);

/** Prints the routes of a migration file, or with `--format json` its problems. @returns the exit code */
function checkMigration(
  text: string,
  file: string,
  {format}: Pick<Flags, 'format'>,
  {env, stdout}: Io,
): number {
  if (format !== 'text' && format !== 'json') {
    throw new TransshipError('USAGE', `--check has no --format ${format}`, {
      side: 'local',
      hint: 'use --format text or json',
    });
  }
  const isJson = format === 'json';
  let migration: Migration;
  try {
    migration = readMigration(text, file, env);
  } catch (error) {
    const isAnswer = error instanceof TransshipError && error.code === 'MIGRATION_INVALID';
    if (!isAnswer || !isJson) throw error;
    // The problems are the requested result.
    const {code, problems} = error;
    stdout.write(`${printableJson({file, valid: false, code, problems}, 2)}\n`);
    return 64;
  }
  stdout.write(
    isJson ? `${printableJson(migrationDocument(migration), 2)}\n` : renderMigration(migration),
  );
  return 0;
}

/** @throws TransshipError FILE_UNREADABLE, MIGRATION_INVALID, USAGE if it is probably a misspelt subcommand */
export async function readMigrationText(file: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readRegular(file, MIGRATION_SIZE_LIMIT);
  } catch (cause) {
    const {code, message} = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' && /^[a-z-]+$/i.test(file)) {
      throw new TransshipError('USAGE', `"plan ${file}" is neither a command nor a file`, {
        side: 'local',
        hint: 'write plan copy, plan transfer, or plan FILE.yaml',
      });
    }
    throw new TransshipError(
      'FILE_UNREADABLE',
      `the migration file ${file} cannot be read: ${code ?? `it ${message}`}`,
      {
        side: 'local',
        hint: 'name a migration file that exists and that you may read',
        cause,
      },
    );
  }
  const line = lineOfWrongText(bytes);
  if (line === undefined) return Buffer.from(bytes).toString();
  throw new TransshipError('MIGRATION_INVALID', `${file} is not UTF-8`, {
    side: 'local',
    hint: 'save the file as UTF-8',
    problems: [{file, line, column: 1, message: 'this line has bytes that are not UTF-8'}],
  });
}

/** The first line that is not UTF-8; undefined: there is none. */
function lineOfWrongText(bytes: Uint8Array): number | undefined {
  if (isUtf8(bytes)) return undefined;
  const lines = Buffer.from(bytes).toString('latin1').split('\n');
  return lines.findIndex((line) => !isUtf8(Buffer.from(line, 'latin1'))) + 1;
}
