import {type Command, Option} from 'commander';
import {type DeletionFlags, deletionReader} from '../delete-wish.ts';
import {throwIfBegun} from '../earlier-transfers.ts';
import {addGitLabFlags} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {addHostFlags, addProgressFlag, collect, type HostFlags, wholeNumber} from '../options.ts';
import {addMakeFlags, givePlan, type MakeFlags} from '../plan-file.ts';
import type {ProgressFlags} from '../reporters/choose.ts';
import {planDeletions} from '../rule-deletions.ts';
import {withSession} from '../session.ts';

type Flags = ProgressFlags & HostFlags & MakeFlags & DeletionFlags;

/** `transship plan delete`: plans which tags are deleted, and deletes nothing. */
export function addPlanDelete(plan: Command, io: Io, done: (exitCode: number) => void): void {
  const command = plan
    .command('delete')
    .summary('plan the deletion of tags by rules')
    .description(
      'Lists the tags that the rules select, with age, size and digest, and those that are kept, with the reason. Deletes nothing.',
    )
    .argument(
      '[repository...]',
      'host/repository, or host/repository:tag for that tag alone; with --recursive host/group',
    )
    .option('--recursive', 'also the repositories below, as the host lists them')
    .option(
      '--routes <file>',
      'the repositories that a migration file names, on the side of --side',
    )
    .addOption(
      new Option('--side <side>', 'which repositories of --routes').choices([
        'source',
        'destination',
      ]),
    )
    .option('--tag <glob>', 'only tags that match (repeatable)', collect)
    .option('--exclude-tag <glob>', 'no tags that match (repeatable)', collect)
    .option('--semver <range>', 'only tags that are versions in this range')
    .option('--older-than <age>', 'only tags older than 12h, 30d, 2w or a date')
    .option('--keep-newest <n>', 'keep the n newest of the selected tags', wholeNumber)
    .option(
      '--keep <glob>',
      'keep tags that match, whatever else selects them (repeatable)',
      collect,
    )
    .option(
      '--gitlab-policy <project>',
      'what the cleanup policy of this GitLab project, or of each project of this group, deletes',
    )
    .addHelpText(
      'after',
      `
Ages are those of the push where the registry knows them (GitLab with metadata database), else those of the image.

Examples:
  transship plan delete gitlab.example.com:5050/group/app --tag 'dev-*' --older-than 30d --keep-newest 10 --keep 'v*' --out clean.plan.json
  transship plan delete gitlab.example.com:5050/group --recursive --tag 'dev-*' --older-than 30d --gitlab https://gitlab.example.com
  transship plan delete --gitlab-policy group/project --gitlab https://gitlab.example.com
  transship apply clean.plan.json --max-deletes 100`,
    );
  addMakeFlags(addProgressFlag(addHostFlags(addGitLabFlags(command))));
  command.action(async (repositories: readonly string[], flags: Flags) => {
    const read = deletionReader(repositories, flags, io);
    if (flags.out !== undefined) await throwIfBegun(flags.out, io);
    const made = await withSession(io, flags, async (session) => {
      const {wishes, checks} = await read(session);
      return await planDeletions(wishes, checks, session);
    });
    done(await givePlan(made, flags, io));
  });
}
