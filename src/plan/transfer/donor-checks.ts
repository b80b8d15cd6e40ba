import {shortDigest} from '../../model/digest.ts';
import type {Check} from '../../model/plan.ts';
import type {TransferCopies} from './project-move.ts';
import {forbid, forbidProblem, pass, warn} from './make-check.ts';
import type {DonorFacts, TransferFacts} from './facts.ts';
import {betweenPaths} from './steps.ts';

/** The fraction of free disk space that the images may use. */
const DISK_SHARE = 0.95;

/** Whether the donor can store the images. */
export function donorChecks(facts: TransferFacts, {pull}: TransferCopies): readonly Check[] {
  const {donor, repositories} = facts;
  const occupied = repositories.flatMap(({source, atDonor}) =>
    source.roots.flatMap(({tag, digest}) => {
      const there = tag === undefined ? undefined : atDonor.tags.get(tag);
      if (there === undefined || there === digest) return [];
      return [
        forbid(
          'DONOR_OCCUPIED',
          `${atDonor.repository}:${tag ?? ''}`,
          `the donor has another image as ${atDonor.repository}:${tag ?? ''} (${shortDigest(there)}), possibly from an earlier transfer`,
          'choose another donor with --donor, or empty this one if its images are no longer needed',
        ),
      ];
    }),
  );
  const bytes = pull.blobs.reduce((sum, {action, size}) => sum + (action === 'copy' ? size : 0), 0);
  const found = [
    ...occupied,
    ...(donor.donor.kind === 'directory'
      ? directoryChecks(donor, bytes)
      : donorProjectChecks(facts)),
  ];
  return found.length > 0
    ? found
    : [pass('DONOR_READY', donor.donor.path, 'the images can wait at the donor')];
}

function* directoryChecks({donor, freeBytes, stranger, isInJob}: DonorFacts, bytes: number) {
  if (stranger !== undefined) {
    yield forbid(
      'DONOR_UNFIT',
      donor.path,
      `found ${stranger}: a donor directory may contain only the image layouts of transfers`,
      'name a directory that is empty or does not exist with --donor',
    );
  }
  if (isInJob === true && donor.kind === 'directory' && donor.onThisMachine !== true) {
    yield forbid(
      'DONOR_IN_CI_JOB',
      donor.path,
      `this is a CI job, and the directory ${donor.path} may be deleted with it, while it has the only copy of the images`,
      'name a project with --donor; or, if the directory outlives the job and "apply" runs on the same machine, add --donor-on-this-machine',
    );
  }
  if (freeBytes === undefined || bytes <= freeBytes * DISK_SHARE) return;
  yield forbid(
    'DONOR_TOO_SMALL',
    donor.path,
    `the images need ${bytes} bytes, but ${donor.path} has only ${freeBytes} bytes free`,
    'free some space, or choose another directory or a project with --donor',
  );
}

function* donorProjectChecks(facts: TransferFacts) {
  const {donor, problem, mayCreate, missingActions = [], probe} = facts.donor;
  if (problem !== undefined) yield forbidProblem(donor.path, problem);
  const inTheWay = whyInTheWay(facts);
  if (inTheWay !== undefined) {
    yield forbid(
      'DONOR_UNFIT',
      donor.path,
      inTheWay,
      'choose another project or a directory with --donor',
    );
  }
  if (donor.kind === 'project' && donor.id === undefined && problem === undefined) {
    yield mayCreate
      ? warn(
          'DONOR_MISSING',
          donor.path,
          `the donor project ${donor.path} does not exist yet: it is created when the plan is applied`,
          'its registry cannot be checked before it exists; to check it now, create the project yourself and plan again',
        )
      : forbid(
          'DONOR_MISSING',
          donor.path,
          `the donor project ${donor.path} does not exist`,
          'create it, add --create-donor, or use a directory',
        );
  }
  if (missingActions.length > 0) {
    yield forbid(
      'TOKEN_SCOPE_MISSING',
      donor.path,
      `the registry does not let this token ${missingActions.join(', ')} images of ${donor.path}`,
      'use a token with the scope api, of a maintainer of the donor project',
    );
  }
  if (probe === 'passed') {
    yield pass('DELETE_READY', donor.path, 'a tag was pushed to the donor and deleted there');
  } else if (probe !== undefined) {
    yield forbidProblem(donor.path, probe);
  }
}

/** Why the donor would prevent the project from moving after all images are deleted; undefined: it would not. */
export function whyInTheWay({
  donor: {donor},
  project,
  target,
}: Pick<TransferFacts, 'donor' | 'project' | 'target'>): string | undefined {
  const path = donor.path.toLowerCase();
  const places = [target.fullPath, ...betweenPaths({project, target})];
  if (path !== project.fullPath.toLowerCase() && places.some((at) => at.toLowerCase() === path))
    return `${donor.path} is where the project moves to`;
  const slash = path.lastIndexOf('/');
  // A created project is named after the last part of its path, and GitLab allows each name only once in a namespace.
  const isNamesake =
    donor.kind === 'project' &&
    donor.id === undefined &&
    path.slice(0, slash) === target.namespace.fullPath.toLowerCase() &&
    path.slice(slash + 1) === project.name?.toLowerCase();
  return isNamesake
    ? `a project ${donor.path} would have the same name as the project that moves there`
    : undefined;
}
