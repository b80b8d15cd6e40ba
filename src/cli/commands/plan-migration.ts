import type {Command} from 'commander';
import {TransshipError} from '../../model/error.ts';
import {readRegular} from '../../http/regular-file.ts';
import {readMigration} from '../../plan/migration/read-migration.ts';
import type {Migration} from '../../plan/migration/migration.ts';
import {MIGRATION_SIZE_LIMIT} from '../../plan/migration/yaml-source.ts';
import {migrationDocument, renderMigration} from '../../report/migration.ts';
import type {Io} from '../io.ts';
import {addFormatFlag} from '../options.ts';
import {printableJson} from '../../report/words.ts';

interface Flags {
  readonly check?: boolean;
  readonly format: 'text' | 'json';
}

/**
 * `transship plan FILE.yaml`. It is the default of `plan`: what is not the name of a subcommand is the name of a file, so
 * a file called `copy` is written `./copy`.
 */
export function addPlanMigration(plan: Command, io: Io, done: (exitCode: number) => void): void {
  const command = plan
    .command('file', {isDefault: true})
    .summary('check a migration file: transship plan FILE.yaml --check')
    .description('Checks a migration file offline, and prints its routes or all problems.')
    .argument('[file]', 'a migration file (docs/migration-file.md); may follow "plan" directly')
    .option('--check', 'only check the file');
  addFormatFlag(command, ['text', 'json']).action(
    async (file: string | undefined, {check, format}: Flags) => {
      if (file === undefined) {
        throw new TransshipError('USAGE', 'no command and no file was given', {
          side: 'local',
          hint: 'write plan copy, plan transfer, or plan FILE.yaml',
        });
      }
      const text = await readMigrationText(file);
      if (check !== true) {
        throw new TransshipError('USAGE', 'plans cannot be made from migration files yet', {
          side: 'local',
          hint: `check the file with: transship plan ${file} --check`,
        });
      }
      let migration: Migration;
      try {
        migration = readMigration(text, file, io.env);
      } catch (error) {
        if (
          !(
            error instanceof TransshipError &&
            error.code === 'MIGRATION_INVALID' &&
            format === 'json'
          )
        )
          throw error;
        // The problems are the answer that was asked for.
        const {code, problems} = error;
        io.stdout.write(`${printableJson({file, valid: false, code, problems}, 2)}\n`);
        done(64);
        return;
      }
      io.stdout.write(
        format === 'json'
          ? `${printableJson(migrationDocument(migration), 2)}\n`
          : renderMigration(migration),
      );
    },
  );
}

/** @throws TransshipError FILE_UNREADABLE, USAGE where it is more likely a misspelt subcommand */
async function readMigrationText(file: string): Promise<string> {
  try {
    return (await readRegular(file, MIGRATION_SIZE_LIMIT)).toString();
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
}
