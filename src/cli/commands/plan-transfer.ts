import type {Command} from 'commander';
import {addressOf} from '../../gitlab/connection.ts';
import {throwIfBegun} from '../earlier-transfers.ts';
import {addGitLabFlags, type GitLabFlags, openGitLab} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {addHostFlags, addProgressFlag, type HostFlags} from '../options.ts';
import {addMakeFlags, givePlan, type MakeFlags} from '../plan-file.ts';
import type {ProgressFlags} from '../reporters/choose.ts';
import {withSession} from '../session.ts';
import {addPlanningFlags, type PlanningFlags, planMoves} from '../plan-moves.ts';
import {instanceOf, readGroupWish, readMoveWish} from '../transfer-wish.ts';
import {TransshipError} from '../../model/error.ts';

interface Flags extends ProgressFlags, HostFlags, GitLabFlags, MakeFlags, PlanningFlags {
  readonly group?: string;
  readonly to: string;
  readonly donor?: string;
}

/** `transship plan transfer`: plans how a project or group moves with its images, and moves nothing. */
export function addPlanTransfer(plan: Command, io: Io, done: (exitCode: number) => void): void {
  const command = plan
    .command('transfer')
    .summary('plan the move of a GitLab project or group and its images')
    .description(
      'Inspects the project, its images and its target, checks the permissions that the move needs, and prints the review. ' +
        'Changes nothing, except a probe tag, pushed to a donor project and deleted. ' +
        'With a directory as the donor, also cancels an upload at the old path and pushes manifests that are already there.',
    )
    .argument('[project]', 'full path, ID or URL of the project')
    .option(
      '--group <group>',
      'move a group with all projects and subgroups below it: its full path, ID or URL',
    )
    .requiredOption(
      '--to <path>',
      'the new full path, or a namespace followed by /; for a group, a single name makes it a top-level group',
    )
    .option(
      '--donor <place>',
      'where the images wait: a directory (./dir, /dir), stored relative to the plan file, or a project of the same GitLab (full path, ID or URL), which mounts the blobs instead of copying them (default: ./transship-donor/<project>)',
    )
    .addHelpText(
      'after',
      `
Exit 3: a check forbids the move; the review names it, and nothing was changed.

Examples:
  transship plan transfer org/build/sample_project --to new_org/build/ --gitlab https://gitlab.example.com --out move.plan.json
  transship plan transfer --group org/build --to new_org/ --donor ops/parking --gitlab gitlab.example.com --out group.plan.json
  transship plan transfer org/app --to team/app --donor org/parking --gitlab gitlab.example.com --format markdown`,
    );
  addPlanningFlags(command);
  addMakeFlags(addProgressFlag(addHostFlags(addGitLabFlags(command))));
  command.action(async (project: string | undefined, flags: Flags) => {
    const {name, read} = subjectOf(project, flags);
    if (flags.out !== undefined) await throwIfBegun(flags.out, io);
    const made = await withSession(io, flags, async (session) => {
      const access = await openGitLab(flags, io, session, instanceOf(name));
      const gitlab = addressOf(access.gitlab.url);
      const wish = {gitlab, moves: [read(name, flags, gitlab)]};
      return await planMoves(wish, flags, access, io, session);
    });
    done(await givePlan(made, flags, io));
  });
}

/** The project or group to move. @throws TransshipError USAGE */
function subjectOf(
  project: string | undefined,
  {group}: Flags,
): {readonly name: string; readonly read: typeof readMoveWish | typeof readGroupWish} {
  if (group !== undefined && project === undefined) return {name: group, read: readGroupWish};
  if (project !== undefined && group === undefined) return {name: project, read: readMoveWish};
  throw new TransshipError(
    'USAGE',
    project === undefined
      ? 'neither a project nor a group is named'
      : 'a project and a group are named',
    {side: 'local', hint: 'name one project, or one group with --group'},
  );
}
