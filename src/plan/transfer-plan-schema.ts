import {z} from '../model/schema.ts';
import {PLAN_FORMAT} from '../model/plan.ts';
import type {TransferPlan, TransferStep} from '../model/transfer-plan.ts';
import {
  blob,
  checks,
  copyStep,
  count,
  digest,
  listOf,
  manifests,
  planIdField,
  planSignature,
  repository,
  size,
  type Says,
  skipped,
  stepId,
  tag,
  totals,
} from './schema-parts.ts';

const fullPath = (what: string) => z.string().min(1).describe(`Full path of ${what}.`);
const gitlabId = (what: string) => z.int().positive().describe(`GitLab's id of ${what}.`);

const wish = z
  .strictObject({
    gitlab: z.string().describe('The address of the instance.'),
    project: fullPath('the project, as it was given'),
    to: fullPath('the project after the move, as it was given'),
    donor: z
      .strictObject({
        kind: z.enum(['directory', 'project']).describe('What kind of place it is.'),
        path: z
          .string()
          .min(1)
          .describe(
            'The folder, absolute or relative to the plan file, or the full path of the project.',
          ),
      })
      .describe('Where the images are to wait.'),
  })
  .describe('What somebody wants, in their words.');

const donor = z
  .discriminatedUnion('kind', [
    z
      .strictObject({
        kind: z.literal('directory').describe('A folder with an OCI layout for each repository.'),
        path: z.string().min(1).describe('The folder, absolute or relative to the plan file.'),
        onThisMachine: z
          .literal(true)
          .describe('Somebody said that the folder outlives the CI job that applies the plan.')
          .exactOptional(),
      })
      .describe('A folder on the machine that applies the plan.'),
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
    from: repository('The repository before'),
    donor: repository('The repository at the donor'),
    to: repository('The repository after'),
    tags: listOf(
      z
        .strictObject({
          name: tag('The tag.'),
          digest: digest('What it points to.'),
          size: size('the whole image, each manifest and blob once'),
        })
        .describe('A tag and what it points to.'),
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
  id: stepId,
  needs: listOf(z.string()).describe('Steps that must be done before.'),
  why: z.string().describe('Why the step is there, for people.'),
};
const copySet = {
  copies: listOf(copyStep).describe('The images that are copied, in this order.'),
  blobs: listOf(blob).describe('Every blob of them, once for each destination repository.'),
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
        uploadsTo: repository('The repository where an upload is begun and cancelled'),
        manifests: z
          .array(
            z
              .strictObject({
                repository: repository('The repository that has it'),
                digest: digest('The manifest.'),
              })
              .describe('A manifest that stands for all of its kind.'),
          )
          .describe('Manifests that are put again where they are, by digest.'),
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

/**
 * What a plan names that has no part in the transfer, whoever wrote it; undefined: nothing. GitLab has one registry, and
 * images go from and to the repositories of the plan alone.
 */
function strangeness(
  plan: Pick<TransferPlan, 'donor' | 'repositories' | 'steps'>,
): string | undefined {
  const {
    donor: {kind},
    repositories,
    steps,
  } = plan;
  const atRegistry = repositories.flatMap(({from, donor: at, to}) =>
    kind === 'directory' ? [from, to] : [from, at, to],
  );
  const onDisk = kind === 'directory' ? repositories.map(({donor: at}) => at) : [];
  if (atRegistry.some(isOnDisk) || !onDisk.every(isOnDisk))
    return 'its repositories are not where the images of a project or its donor are';
  if (new Set(atRegistry.map((place) => place.split('/')[0])).size > 1)
    return 'its repositories are at more than one registry';
  const places = new Set([...atRegistry, ...onDisk]);
  const strange = steps.flatMap(placesOf).find((place) => !places.has(place));
  return strange === undefined ? undefined : `${strange} is not one of its repositories`;
}

function isOnDisk(place: string): boolean {
  return place.startsWith('oci:');
}

/** Every place that a step reads or writes. */
function placesOf(planned: TransferStep): readonly string[] {
  switch (planned.kind) {
    case 'pull':
    case 'push':
      return [
        ...planned.copies.flatMap(({from, to}) => [from, to]),
        ...planned.blobs.flatMap(({from, to, mountFrom = from}) => [from, to, mountFrom]),
      ];
    case 'probe':
      return [planned.uploadsTo, ...planned.manifests.map(({repository: at}) => at)];
    default:
      return [];
  }
}

export const transferPlanSchema = z
  .strictObject({
    format: z.literal(PLAN_FORMAT).describe('The version of this format.'),
    id: planIdField,
    signature: planSignature.exactOptional(),
    kind: z.literal('transfer').describe('The kind of the plan.'),
    wish,
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
    steps: listOf(step).describe('What is done, in this order.'),
    manifests,
    skipped,
    checks,
    totals,
    downtimeSeconds: count('How long the images are at neither path, in seconds; an estimate.'),
  })
  .superRefine((plan, context) => {
    const message = strangeness(plan);
    if (message !== undefined) context.addIssue({code: 'custom', message});
  })
  .describe('The transfer of a GitLab project with its images.');

true satisfies Says<typeof transferPlanSchema, TransferPlan>;
