import {z} from '../model/schema.ts';
import {
  blobRecord,
  type Checked,
  copyRecord,
  count,
  digest,
  head,
  index,
  indexes,
  listOf,
  size,
  stepIdSchema,
  tables,
  tag,
  tail,
  wishPosition,
} from './schema-parts.ts';

const fullPath = (what: string) => z.string().min(1).describe(`Full path of ${what}.`);
const gitlabId = (what: string) => z.int().positive().describe(`GitLab's id of ${what}.`);

const wishedPlaces = {
  to: fullPath('the project or group after the move, as it was given'),
  donor: z
    .strictObject({
      kind: z.enum(['directory', 'project']).describe('What kind of place it is.'),
      path: z
        .string()
        .min(1)
        .describe(
          'The directory, absolute or relative to the plan file, or the full path of the project.',
        ),
    })
    .describe('Where the images are to wait.'),
  at: wishPosition.exactOptional(),
};

const moveWish = z
  .union([
    z
      .strictObject({
        project: fullPath('the project, or its ID, as it was given'),
        ...wishedPlaces,
      })
      .describe('One project at another path.'),
    z
      .strictObject({group: fullPath('the group, or its ID, as it was given'), ...wishedPlaces})
      .describe('One group at another path, with all below it.'),
  ])
  .describe('One project or group at another path.');

const wish = z
  .strictObject({
    gitlab: z.string().describe('The address of the instance.'),
    moves: listOf(moveWish, 1).describe('The projects and groups, in this order.'),
  })
  .describe('What somebody wants, in their words.');

const donor = z
  .discriminatedUnion('kind', [
    z
      .strictObject({
        kind: z
          .literal('directory')
          .describe('A directory with an OCI layout for each repository.'),
        path: z.string().min(1).describe('The directory, absolute or relative to the plan file.'),
        onThisMachine: z
          .literal(true)
          .describe('Somebody said that the directory outlives the CI job that applies the plan.')
          .exactOptional(),
      })
      .describe('A directory on the machine that applies the plan.'),
    z
      .strictObject({
        kind: z.literal('project').describe('A project of the same instance.'),
        path: fullPath('the project'),
        id: gitlabId('the project; absent: it is created when the plan is applied').exactOptional(),
        namespaceId: gitlabId('the namespace that it is created in'),
      })
      .describe('A project of the same instance: its registry mounts the blobs.'),
  ])
  .describe('Where the images wait while their project has none.');

const transferRepository = z
  .strictObject({
    from: index('repositories', 'The repository before'),
    donor: index('repositories', 'The repository at the donor'),
    to: index('repositories', 'The repository after'),
    tags: listOf(
      z
        .tuple([
          tag('The tag.'),
          digest('What it points to.'),
          size('the whole image, each manifest and blob once'),
        ])
        .describe('A tag, what it points to, and its size.'),
    ).describe('Its tags, oldest first.'),
  })
  .describe('One image repository of the project, on its way.');

/** GitLab's have some ten settings. */
const POLICY_LIMIT = 100;

const policy = z
  .unknown()
  .superRefine((value, context) => {
    if (typeof value === 'object' && value !== null && Object.keys(value).length > POLICY_LIMIT)
      context.addIssue({code: 'custom', message: `more than ${POLICY_LIMIT} settings`});
  })
  .pipe(z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])))
  .describe("The project's cleanup policy as it was, in the API's own names.");

const base = {
  id: stepIdSchema,
  needs: listOf(z.string()).describe('Steps that must be done before.'),
  why: z.string().describe('Why the step is there, for people.'),
};
const copySet = {
  copies: listOf(copyRecord).describe('The images that are copied, in this order.'),
  blobActions: listOf(blobRecord).describe(
    'What happens to their blobs, each once for each destination repository.',
  ),
};

const step = z
  .discriminatedUnion('kind', [
    z
      .strictObject({
        kind: z.literal('create-donor').describe('Makes the donor project.'),
        ...base,
        path: fullPath('the project'),
        namespaceId: gitlabId('the namespace that it is created in'),
      })
      .describe('The donor project is created, private and without a cleanup policy at work.'),
    z
      .strictObject({
        kind: z.literal('pause').describe('Stops the cleanup policy.'),
        ...base,
        policy,
      })
      .describe('The cleanup policy is stopped for the time of the move.'),
    z
      .strictObject({kind: z.literal('pull').describe('Old path to donor.'), ...base, ...copySet})
      .describe('The images are copied to the donor.'),
    z
      .strictObject({
        kind: z.literal('verify').describe('Compares a place with the plan.'),
        ...base,
        at: z.enum(['donor', 'target']).describe('The place.'),
      })
      .describe('A place is compared with the plan, digest by digest.'),
    z
      .strictObject({
        kind: z.literal('probe').describe('Proves that the registry takes what is pushed later.'),
        ...base,
        uploadsTo: index('repositories', 'The repository where an upload is begun and cancelled'),
        manifests: listOf(
          z
            .tuple([index('repositories', 'The repository that has it'), digest('The manifest.')])
            .describe('A manifest that stands for all of its kind.'),
        ).describe('Manifests that are put again where they are, by digest.'),
      })
      .describe('Uploads and manifests are tried at the old path before anything is deleted.'),
    z
      .strictObject({kind: z.literal('delete-old').describe('Deletes at the old path.'), ...base})
      .describe('The tags at the old path are deleted, one by one.'),
    z
      .strictObject({
        kind: z.literal('change-path').describe('Moves the project.'),
        ...base,
        namespaceId: gitlabId('the namespace that it moves to').exactOptional(),
        path: z
          .string()
          .min(1)
          .describe("The last part of the project's new path.")
          .exactOptional(),
      })
      .describe('The project gets another namespace or another path.'),
    z
      .strictObject({kind: z.literal('retag').describe('New names for the images.'), ...base})
      .describe('The images at the donor get their names at the new path.'),
    z
      .strictObject({kind: z.literal('push').describe('Donor to new path.'), ...base, ...copySet})
      .describe('The images are copied to the new path.'),
    ...(['freeze', 'unfreeze'] as const).map((kind) =>
      z
        .strictObject({
          kind: z.literal(kind).describe('Protection rules for the time of the move.'),
          ...base,
          patterns: listOf(z.string().min(1)).describe('Their patterns.'),
        })
        .describe('Nobody but owners may push to the old path: made, or taken away.'),
    ),
    z
      .strictObject({
        kind: z.literal('move-rules').describe('Gives protection rules the new path.'),
        ...base,
        rules: listOf(
          z
            .strictObject({
              id: gitlabId('the rule'),
              from: z.string().min(1).describe('Its pattern before.'),
              to: z.string().min(1).describe('Its pattern after.'),
            })
            .describe('A protection rule for repositories.'),
        ).describe('The rules that name the old path.'),
      })
      .describe('Protection rules that name the old path get the new one.'),
    z
      .strictObject({
        kind: z.literal('resume').describe('Puts the cleanup policy back.'),
        ...base,
        policy,
      })
      .describe('The cleanup policy is put back as it was.'),
    z
      .strictObject({
        kind: z.literal('remove-donor').describe('Takes the images away from the donor.'),
        ...base,
      })
      .describe(
        'What this plan put into the donor is removed; only where apply is told to with --remove-donor.',
      ),
  ])
  .describe('One step of the transfer.');

const routeRow = z
  .tuple([index('repositories', 'The source'), index('repositories', 'The destination')])
  .describe('A source repository and its destination.');

const way = {
  steps: listOf(step).describe('What is done, in this order.'),
  downtimeSeconds: count('How long the images are at neither path, in seconds; an estimate.'),
};

const move = z
  .strictObject({
    project: z
      .strictObject({
        id: gitlabId('the project'),
        from: fullPath('the project before'),
        to: fullPath('the project after'),
      })
      .describe('The project that moves.'),
    way: z
      .enum(['native', 'staged', 'empty'])
      .describe(
        'native: GitLab moves the images itself. staged: they wait at the donor. empty: there are none.',
      ),
    donor,
    repositories: listOf(transferRepository).describe('The image repositories of the project.'),
    manifests: indexes(
      'manifests',
      'The manifests of its images, in the order of the table. Absent: all',
    ).exactOptional(),
    ...way,
    fallback: z
      .strictObject(way)
      .describe(
        'Of a native move: what is done instead if GitLab does not move the images itself. Absent: the move ends there.',
      )
      .exactOptional(),
  })
  .describe('The move of one project.');

const groupStep = z
  .discriminatedUnion('kind', [
    z
      .strictObject({
        kind: z.literal('delete-records').describe("Deletes GitLab's records of image paths."),
        ...base,
      })
      .describe('Records of image paths below the group are deleted, once they have no tags.'),
    z
      .strictObject({
        kind: z.literal('change-group').describe('Moves the group.'),
        ...base,
        parentId: gitlabId('the group that it moves to')
          .nullable()
          .describe(
            "GitLab's id of the group that it moves to; null: it becomes a top-level group.",
          )
          .exactOptional(),
        path: z.string().min(1).describe("The last part of the group's new path.").exactOptional(),
      })
      .describe('The group gets another parent or another path.'),
  ])
  .describe('One step of the group.');

const groupMove = z
  .strictObject({
    group: z
      .strictObject({
        id: gitlabId('the group'),
        from: fullPath('the group before'),
        to: fullPath('the group after'),
      })
      .describe('The group that moves.'),
    projects: listOf(gitlabId('a project')).describe(
      'The projects of the plan that move with it, by their ids.',
    ),
    withoutImages: listOf(fullPath('a project')).describe(
      'The projects below it that have no images and move along.',
    ),
    records: listOf(z.string().min(1)).describe(
      "GitLab's records of image paths without tags below it, `host/path`: they are deleted.",
    ),
    steps: listOf(groupStep).describe('What is done, in this order.'),
  })
  .describe('The move of a group with its projects.');

export const transferPlanFile = z
  .strictObject({
    ...head,
    kind: z.literal('transfer').describe('The kind of the plan.'),
    wish,
    mediaTypes: tables.mediaTypes,
    platforms: tables.platforms,
    repositories: tables.repositories,
    routes: listOf(routeRow).describe('Every source repository and where it goes.'),
    blobs: tables.blobs,
    manifests: tables.manifests,
    moves: listOf(move).describe('The projects that move, in this order.'),
    groups: listOf(groupMove, 1)
      .describe('The groups that move with their projects. Absent: none.')
      .exactOptional(),
    ...tail,
  })
  .describe('Transfers of GitLab projects and groups with their images.');

/** The file of a plan of transfers; see docs/plan-format.md. */
export type TransferPlanFile = Checked<typeof transferPlanFile>;
/** Without what is computed from the rest. */
export type TransferPlanContent = Omit<TransferPlanFile, 'id' | 'signature'>;
/** The move of one project, and one step of it, as the file has them. */
export type MoveRecord = Checked<typeof move>;
export type StepRecord = Checked<typeof step>;
/** The move of a group, as the file has it. */
export type GroupRecord = Checked<typeof groupMove>;
