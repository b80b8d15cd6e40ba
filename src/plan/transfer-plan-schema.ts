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
const gitlabId = (what: string) => z.int().positive().describe(`GitLab's ID of ${what}.`);

const wishedPlaces = {
  to: fullPath('the project or group after the move, as given'),
  donor: z
    .strictObject({
      kind: z.enum(['directory', 'project']).describe('The kind of the donor.'),
      path: z
        .string()
        .min(1)
        .describe(
          'The directory, absolute or relative to the plan file, or the full path of the project.',
        ),
    })
    .describe('The donor, as given.'),
  at: wishPosition.exactOptional(),
};

const moveWish = z
  .union([
    z
      .strictObject({
        project: fullPath('the project, or its ID, as given'),
        ...wishedPlaces,
      })
      .describe('A project, and its path after the move.'),
    z
      .strictObject({group: fullPath('the group, or its ID, as given'), ...wishedPlaces})
      .describe('A group with its content, and its path after the move.'),
  ])
  .describe('A project or a group to move.');

const wish = z
  .strictObject({
    gitlab: z.string().describe('The address of the instance.'),
    moves: listOf(moveWish, 1).describe('The projects and groups, in this order.'),
  })
  .describe('The request, as given.');

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
          .describe(
            'The user confirmed that the directory outlives the CI job that applies the plan.',
          )
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
  .describe('Where the images are stored during the move.');

const transferRepository = z
  .strictObject({
    from: index('repositories', 'The repository before'),
    donor: index('repositories', 'The repository at the donor'),
    to: index('repositories', 'The repository after'),
    tags: listOf(
      z
        .tuple([
          tag('The tag.'),
          digest('The digest that it points to.'),
          size('the whole image, each manifest and blob once'),
        ])
        .describe('A tag, its digest, and the size of its image.'),
    ).describe('Its tags, oldest first.'),
  })
  .describe(
    'An image repository of the project: its names before the move, at the donor, and after the move.',
  );

/** GitLab's policies have about ten settings. */
const POLICY_LIMIT = 100;

const policy = z
  .unknown()
  .superRefine((value, context) => {
    if (typeof value === 'object' && value !== null && Object.keys(value).length > POLICY_LIMIT)
      context.addIssue({code: 'custom', message: `more than ${POLICY_LIMIT} settings`});
  })
  .pipe(z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])))
  .describe("The project's cleanup policy before the move, with the names of GitLab's API.");

const base = {
  id: stepIdSchema,
  needs: listOf(z.string()).describe('The IDs of steps that must be done before.'),
  why: z.string().describe('Why the step is there, for people.'),
};
const copySet = {
  copies: listOf(copyRecord).describe('The images that are copied, in this order.'),
  blobActions: listOf(blobRecord).describe(
    'The actions for their blobs; each blob occurs once for each destination repository.',
  ),
};

const step = z
  .discriminatedUnion('kind', [
    z
      .strictObject({
        kind: z.literal('create-donor').describe('Creates the donor project.'),
        ...base,
        path: fullPath('the project'),
        namespaceId: gitlabId('the namespace that it is created in'),
      })
      .describe('The donor project is created: private, with its cleanup policy disabled.'),
    z
      .strictObject({
        kind: z.literal('pause').describe('Disables the cleanup policy.'),
        ...base,
        policy,
      })
      .describe('The cleanup policy is disabled during the move.'),
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
        kind: z
          .literal('probe')
          .describe('Proves that the registry accepts uploads and manifests.'),
        ...base,
        uploadsTo: index(
          'repositories',
          'The repository in which an upload is started and cancelled',
        ),
        manifests: listOf(
          z
            .tuple([index('repositories', 'The repository that has it'), digest('The manifest.')])
            .describe('A manifest that represents its kind.'),
        ).describe('Manifests that are pushed again by digest to the repository that has them.'),
      })
      .describe('Uploads and manifests are tried at the old path before anything is deleted.'),
    z
      .strictObject({kind: z.literal('delete-old').describe('Deletes at the old path.'), ...base})
      .describe('The tags at the old path are deleted one by one.'),
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
      .strictObject({
        kind: z.literal('retag').describe('Gives the images their new names.'),
        ...base,
      })
      .describe('The images at the donor get their names at the new path.'),
    z
      .strictObject({kind: z.literal('push').describe('Donor to new path.'), ...base, ...copySet})
      .describe('The images are copied to the new path.'),
    ...(['freeze', 'unfreeze'] as const).map((kind) =>
      z
        .strictObject({
          kind: z
            .literal(kind)
            .describe('Adds or removes protection rules for the duration of the move.'),
          ...base,
          patterns: listOf(z.string().min(1)).describe('Their patterns.'),
        })
        .describe(
          'Rules that allow only owners to push to the old path are created (freeze) or removed (unfreeze).',
        ),
    ),
    z
      .strictObject({
        kind: z.literal('move-rules').describe('Changes protection rules to the new path.'),
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
      .describe('Protection rules that name the old path are changed to the new path.'),
    z
      .strictObject({
        kind: z.literal('resume').describe('Restores the cleanup policy.'),
        ...base,
        policy,
      })
      .describe('The cleanup policy is restored.'),
    z
      .strictObject({
        kind: z.literal('remove-donor').describe('Removes the images from the donor.'),
        ...base,
      })
      .describe(
        'Content that this plan copied to the donor is removed; only with apply --remove-donor.',
      ),
  ])
  .describe('One step of the transfer.');

const routeRow = z
  .tuple([index('repositories', 'The source'), index('repositories', 'The destination')])
  .describe('A source repository and its destination.');

const way = {
  steps: listOf(step).describe('The steps, in order.'),
  downtimeSeconds: count('Estimated time during which the images are at neither path, in seconds.'),
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
        'native: GitLab moves the images itself. staged: they are stored at the donor. empty: there are none.',
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
        'Native moves only: the steps to take if GitLab does not move the images itself. Absent: the move fails.',
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
      .describe('Records of image paths below the group are deleted after their tags.'),
    z
      .strictObject({
        kind: z.literal('change-group').describe('Moves the group.'),
        ...base,
        parentId: gitlabId('the group that it moves to')
          .nullable()
          .describe(
            "GitLab's ID of the group that it moves to; null: it becomes a top-level group.",
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
      'The IDs of the projects in the plan that move with it.',
    ),
    withoutImages: listOf(fullPath('a project')).describe(
      'Projects below it without images, which move with it.',
    ),
    records: listOf(z.string().min(1)).describe(
      "GitLab's records of image paths below it without tags, `host/path`, which are deleted.",
    ),
    steps: listOf(groupStep).describe('The steps, in order.'),
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
    routes: listOf(routeRow).describe('Every source repository and its destination.'),
    blobs: tables.blobs,
    manifests: tables.manifests,
    moves: listOf(move).describe('The projects that move, in this order.'),
    groups: listOf(groupMove, 1)
      .describe('The groups that move with their projects. Absent: none.')
      .exactOptional(),
    ...tail,
  })
  .describe('Transfers of GitLab projects and groups with their images.');

/** The file of a transfer plan; see docs/plan-format.md. */
export type TransferPlanFile = Checked<typeof transferPlanFile>;
/** The file without the fields that are computed from the others. */
export type TransferPlanContent = Omit<TransferPlanFile, 'id' | 'signature'>;
/** Records of a plan file: the move of a project, and a step of it. */
export type MoveRecord = Checked<typeof move>;
export type StepRecord = Checked<typeof step>;
/** The record of the move of a group. */
export type GroupRecord = Checked<typeof groupMove>;
