import type {Command} from 'commander';
import {gatherTransferFacts} from '../../gitlab/preflight/gather-facts.ts';
import {makeTransferPlan} from '../../plan/transfer/transfer-plan.ts';
import {strangerAmongLayouts} from '../../places/layout-folder.ts';
import {findEarlierTransfers, throwIfBegun} from '../earlier-transfers.ts';
import {freeBytes} from '../user-folders.ts';
import {addGitLabFlags, type GitLabFlags, openGitLab} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {addHostFlags, addProgressFlag, type HostFlags} from '../options.ts';
import {addMakeFlags, givePlan, type MakeFlags} from '../plan-file.ts';
import type {ProgressKind} from '../reporters/choose.ts';
import {withSession} from '../session.ts';
import {
  folderFrom,
  instanceOf,
  isCiJob,
  planFolder,
  readTransferWish,
  relativeTo,
} from '../transfer-wish.ts';

interface Flags extends HostFlags, GitLabFlags, MakeFlags {
  readonly to: string;
  readonly donor?: string;
  readonly createDonor?: boolean;
  readonly donorOnThisMachine?: boolean;
  readonly staged?: boolean;
  readonly progress: ProgressKind;
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
    .option('--create-donor', 'create the donor project when the plan is applied')
    .option(
      '--donor-on-this-machine',
      'in a CI job: confirm that the donor folder outlives the job and that "apply" runs on the same machine',
    )
    .option('--staged', 'use the donor even if GitLab could move the images itself')
    .addHelpText(
      'after',
      `
Exit 3: a check forbids the move; the review names it, and nothing was changed.

Examples:
  transship plan transfer org/build/sample_project --to new_org/build/ --gitlab https://gitlab.example.com --out move.plan.json
  transship plan transfer org/app --to team/app --donor org/parking --gitlab gitlab.example.com --format markdown`,
    );
  addMakeFlags(addProgressFlag(addHostFlags(addGitLabFlags(command))));
  command.action(async (project: string, flags: Flags) => {
    if (flags.out !== undefined) await throwIfBegun(flags.out, io);
    const base = planFolder(flags.out);
    const made = await withSession(io, flags, async (session) => {
      const {places, report, call} = session;
      const access = await openGitLab(flags, io, session, instanceOf(project));
      const {gitlab, tokenKind} = access;
      const address = gitlab.url.href.replace(/\/$/, '');
      const facts = await gatherTransferFacts(
        {
          wish: readTransferWish(project, flags, address),
          staged: flags.staged === true,
          createDonor: flags.createDonor === true,
          donorOnThisMachine: flags.donorOnThisMachine === true,
        },
        {
          gitlab,
          tokenKind,
          openRegistry: (host, side) => access.openRegistry(host, side),
          openDonor: (name) => relativeTo(base, places).destination(name),
          freeBytes: (folder) => freeBytes(folderFrom(base, folder)),
          strangerAt: (folder) => strangerAmongLayouts(folderFrom(base, folder)),
          isJob: isCiJob(io.env),
          now: () => io.now().getTime(),
          progress: (what, read, total) => report({type: 'observing', what, done: read, total}),
        },
        call,
      );
      const earlier = await findEarlierTransfers(base, address, facts.project.id, io);
      return makeTransferPlan({...facts, earlier});
    });
    done(await givePlan(made, flags, io));
  });
}
