import type {Digest} from '../../model/digest.ts';
import {
  type BlobAction,
  type Check,
  copiesOf,
  type CopyStep,
  deletionsOf,
  type Plan,
  type PlannedManifest,
} from '../../model/plan.ts';
import type {FindingCode} from '../../model/finding-codes.ts';
import {isLocal, nameOf} from '../../model/place.ts';
import {isConfigType} from '../../model/media-type.ts';
import {formatPlatform, parsePlatform, platformMatches} from '../../model/platform.ts';
import {type CopySet, possibleSteps, type TransferPlan} from '../../model/transfer-plan.ts';
import {attachmentSubject} from '../candidate.ts';
import {compareText} from '../compare.ts';
import {platformsOfImages} from '../platforms.ts';
import {matchesRegistry, type Policy} from './policy.ts';

/** The checks that forbid a plan according to a policy; empty: the plan complies with it. */
export function policyChecks(plan: Plan, policy: Policy): readonly Check[] {
  return [
    ...limitChecks(plan, policy),
    ...allowedRegistryChecks(plan, policy),
    ...(policy.requireSignature ? signatureChecks(plan, policy) : []),
    ...platformChecks(plan, policy),
  ];
}

function limitChecks(
  plan: Plan,
  {file, maxBytes, maxDeletes, maxImages}: Policy,
): readonly Check[] {
  const limits = [
    ['POLICY_MAX_BYTES', 'maxBytes', 'sends', plan.totals.bytes, maxBytes],
    ['POLICY_MAX_IMAGES', 'maxImages', 'copies', imagesOf(plan), maxImages],
    ['POLICY_MAX_DELETES', 'maxDeletes', 'deletes', deletesOf(plan), maxDeletes],
  ] as const;
  const nouns = {maxBytes: 'bytes', maxImages: 'images', maxDeletes: 'tags'} as const;
  return limits.flatMap(([code, key, verb, found, most]) =>
    most === undefined || found <= most
      ? []
      : [
          forbids(
            code,
            file,
            `the plan ${verb} ${found} ${nouns[key]}, more than ${key} in ${file} allows: ${most}`,
            'make several plans, each for some of the images, or change the policy',
          ),
        ],
  );
}

/** A transfer copies each image twice, to the donor and from there, or not at all if GitLab moves the images itself. */
function imagesOf(plan: Plan): number {
  return plan.kind === 'copy'
    ? copiesOf(plan).length
    : plan.moves
        .flatMap(({repositories}) => repositories)
        .reduce((sum, {tags}) => sum + tags.length, 0);
}

/**
 * The number of steps that delete a tag permanently. Tags that a transfer deletes at the old path do not count: it
 * pushes all of them to the new path, and deletes none before it was verified at the donor.
 */
function deletesOf(plan: Plan): number {
  return plan.kind === 'copy' ? deletionsOf(plan).length : 0;
}

function allowedRegistryChecks(
  plan: Plan,
  {file, allowRegistries, denyRegistries}: Policy,
): readonly Check[] {
  const why = (registry: string): string | undefined => {
    const isNamed = (patterns: readonly string[]): boolean =>
      patterns.some((pattern) => matchesRegistry(pattern, registry));
    if (denyRegistries !== undefined && isNamed(denyRegistries)) return 'is in denyRegistries';
    if (allowRegistries !== undefined && !isNamed(allowRegistries))
      return 'is not in allowRegistries';
    return undefined;
  };
  return registriesOf(plan).flatMap((registry) => {
    const reason = why(registry);
    return reason === undefined
      ? []
      : [
          forbids(
            'POLICY_REGISTRY',
            registry,
            `the registry ${registry} ${reason} of ${file}`,
            'leave out the routes from and to this registry, or change the policy',
          ),
        ];
  });
}

/** The registries that images come from and go to. Places on this machine have none. */
function registriesOf(plan: Plan): readonly string[] {
  const places =
    plan.kind === 'copy'
      ? [
          ...plan.routes.flatMap(({from, to}) => [from, to]),
          ...deletionsOf(plan).map(({repository}) => repository),
        ]
      : plan.moves
          .flatMap(({repositories}) => repositories)
          .flatMap(({from, donor, to}) => [from, donor, to]);
  const registries = places
    .filter((place) => !isLocal(place))
    .map((place) => place.split('/', 1)[0] ?? place);
  return [...new Set(registries)].sort(compareText);
}

/**
 * Images without a signature in the destination repository. Attachments of other images need none. For an index, the
 * signature of the index counts, because clients check that one.
 */
function signatureChecks(plan: Plan, {file}: Policy): readonly Check[] {
  const copies = firstCopies(plan);
  const planned = new Map(manifestsOf(plan).map((manifest) => [manifest.digest, manifest]));
  const isSignature = signatureTest(plan);
  const signed = new Set<string>();
  const present = plan.skipped.flatMap((skip) => (skip.reason === 'present' ? [skip] : []));
  for (const {to, tag, digest} of [...copies, ...present]) {
    const byName = tag?.endsWith(COSIGN_SUFFIX) ? attachmentSubject(tag) : undefined;
    const manifest = planned.get(digest);
    const subject = manifest !== undefined && isSignature(manifest) ? manifest.subject : undefined;
    for (const one of [byName, subject]) if (one !== undefined) signed.add(`${to} ${one}`);
  }
  return copies
    .filter((copy) => !isAttached(copy, planned) && !signed.has(`${copy.to} ${copy.digest}`))
    .map(({to, tag, digest}) => {
      const name = nameOf(to, tag, digest);
      return forbids(
        'POLICY_SIGNATURE',
        name,
        `${name} has no signature, which ${file} requires`,
        'sign the image at the source (cosign sign), or leave it out',
      );
    });
}

/**
 * Images that are not available for all platforms. An index has the platforms of its images. Attachments, and artifacts
 * that are not images, such as charts, are exempt.
 */
function platformChecks(plan: Plan, {file, requirePlatforms}: Policy): readonly Check[] {
  if (requirePlatforms === undefined) return [];
  const manifests = manifestsOf(plan);
  const planned = new Map(manifests.map((manifest) => [manifest.digest, manifest]));
  const configs = new Set(
    blobsOf(plan).flatMap(({digest, mediaType}) => (isConfigType(mediaType) ? [digest] : [])),
  );
  const platformsOf = platformsOfImages(manifests, ({blobs: [config]}) =>
    config === undefined ? false : configs.has(config),
  );
  return firstCopies(plan)
    .filter((copy) => !isAttached(copy, planned))
    .flatMap(({to, tag, digest}): readonly Check[] => {
      const {names, unknown} = platformsOf(digest);
      if (names.length === 0 && unknown === 0) return [];
      const missing = requirePlatforms.filter(
        (one) => !names.some((name) => platformMatches(one, parsePlatform(name))),
      );
      if (missing.length === 0) return [];
      const name = nameOf(to, tag, digest);
      const lacks = `${missing.map(formatPlatform).join(', ')}, which ${file} requires`;
      return [
        unknown > 0
          ? forbids(
              'POLICY_PLATFORM',
              name,
              `${name} is not known to be for ${lacks}: no index names its platform, and no config that planning read`,
              `plan again with --policy ${file}: planning then reads the configs; otherwise leave the image out`,
            )
          : forbids(
              'POLICY_PLATFORM',
              name,
              `${name} is for ${names.join(', ')}, not for ${lacks}`,
              'build the image for these platforms, or leave it out',
            ),
      ];
    });
}

function manifestsOf(plan: Plan): readonly PlannedManifest[] {
  return plan.kind === 'copy' ? plan.manifests : plan.moves.flatMap((move) => move.manifests);
}

/** For a transfer, the blobs that are copied to the donor: all those of the old path. */
function blobsOf(plan: Plan): readonly BlobAction[] {
  return plan.kind === 'copy' ? plan.blobs : pullsOf(plan).flatMap((pull) => pull.blobs);
}

/** Whether an image is attached to another one, by the name of its tag or by its manifest. */
function isAttached(
  {tag, digest}: CopyStep,
  planned: ReadonlyMap<Digest, PlannedManifest>,
): boolean {
  return attachmentSubject(tag ?? '') !== undefined || planned.get(digest)?.subject !== undefined;
}

/** For a transfer, the copies to the donor: all those of the old path. */
function firstCopies(plan: Plan): readonly CopyStep[] {
  if (plan.kind === 'copy') return copiesOf(plan);
  return pullsOf(plan).flatMap(({copies}) => copies);
}

function pullsOf({moves}: TransferPlan): readonly CopySet[] {
  return moves.flatMap((move) =>
    possibleSteps(move).flatMap((step) => (step.kind === 'pull' ? [step] : [])),
  );
}

/** cosign's SPEC.md, "Naming". */
const COSIGN_SUFFIX = '.sig';
/**
 * Media types of blobs that only signatures have: cosign's (its SPEC.md, "Payload"), Sigstore's bundles (its
 * specs/BUNDLE_SPEC.md), Notary's configs (notaryproject/specifications, signature-specification.md).
 */
const SIGNATURE_TYPES = [
  'application/vnd.dev.cosign.simplesigning.v1+json',
  'application/vnd.dev.sigstore.bundle.',
  'application/vnd.cncf.notary.signature',
];

function signatureTest(plan: Plan): (manifest: PlannedManifest) => boolean {
  const ofSignatures = new Set<Digest>(
    blobsOf(plan).flatMap(({digest, mediaType}) =>
      SIGNATURE_TYPES.some((type) => mediaType.startsWith(type)) ? [digest] : [],
    ),
  );
  return (manifest) => manifest.blobs.some((blob) => ofSignatures.has(blob));
}

function forbids(code: FindingCode, subject: string, message: string, hint: string): Check {
  return {code, result: 'forbid', subject, message, hint};
}
