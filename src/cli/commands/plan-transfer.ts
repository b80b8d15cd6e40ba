import type {Command} from 'commander';
import {throwIfBegun} from '../earlier-transfers.ts';
import {addGitLabFlags, type GitLabFlags, openGitLab} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {addHostFlags, addProgressFlag, type HostFlags} from '../options.ts';
import {addMakeFlags, givePlan, type MakeFlags} from '../plan-file.ts';
import type {ProgressFlags} from '../reporters/choose.ts';
import {withSession} from '../session.ts';
import {addPlanningFlags, type PlanningFlags, planMoves} from '../plan-moves.ts';
import {instanceOf, readMoveWish} from '../transfer-wish.ts';

interface Flags extends ProgressFlags, HostFlags, GitLabFlags, MakeFlags, PlanningFlags {
  readonly to: string;
  readonly donor?: string;
}

/** `transship plan transfer`: decides how a project moves with its images, and moves nothing. */
export function addPlanTransfer(plan: Command, io: Io, done: (exitCode: number) => void): void {
  const command = plan
    .command('transfer')
    .summary('plan the move of a GitLab project and its images')
    .description(
      'Inspects the project, its images and its target, checks the permissions that the move needs, and prints the review. ' +
        'Changes nothing, except a probe tag, pushed to a donor project and deleted. ' +
        'With a folder as the donor, also cancels an upload at the old path and pushes manifests that are already there.',
    )
    .argument('<project>', 'full path, ID or URL of the project')
    .requiredOption('--to <path>', 'the new full path, or a namespace followed by /')
    .option(
      '--donor <place>',
      'where the images wait: a folder (./dir, /dir), stored relative to the plan file, or a project of the same GitLab (full path, ID or URL), which mounts the blobs instead of copying them (default: ./transship-donor/<project>)',
    )
    .addHelpText(
      'after',
      `
Exit 3: a check forbids the move; the review names it, and nothing was changed.

Examples:
  transship plan transfer org/build/sample_project --to new_org/build/ --gitlab https://gitlab.example.com --out move.plan.json
  transship plan transfer org/app --to team/app --donor org/parking --gitlab gitlab.example.com --format markdown`,
    );
  addPlanningFlags(command);
  addMakeFlags(addProgressFlag(addHostFlags(addGitLabFlags(command))));
  command.action(async (project: string, flags: Flags) => {
    if (flags.out !== undefined) await throwIfBegun(flags.out, io);
    const made = await withSession(io, flags, async (session) => {
      const access = await openGitLab(flags, io, session, instanceOf(project));
      const gitlab = access.gitlab.url.href.replace(/\/$/, '');
      const wish = {gitlab, moves: [readMoveWish(project, flags, gitlab)]};
      return await planMoves(wish, flags, access, io, session);
    });
    done(await givePlan(made, flags, io));
  });
}
