import {shortDigest} from '../../model/digest.ts';
import type {Check} from '../../model/plan.ts';
import type {Carriages} from './carriage.ts';
import type {DonorFacts, TransferFacts} from './facts.ts';
import {forbid, forbidFinding, pass, warn} from './finding.ts';

/** Of the room on a disk some is left for others: the images may take so much of it. */
const DISK_SHARE = 0.95;

/** Whether the images can wait at the donor. */
export function donorChecks(
  {donor, repositories}: TransferFacts,
  {pull}: Carriages,
): readonly Check[] {
  const occupied = repositories.flatMap(({source, atDonor}) =>
    source.roots.flatMap(({tag, digest}) => {
      const there = tag === undefined ? undefined : atDonor.tags.get(tag);
      if (there === undefined || there === digest) return [];
      return [
        forbid(
          'DONOR_OCCUPIED',
          `${atDonor.repository}:${tag ?? ''}`,
          `the donor has another image as ${atDonor.repository}:${tag ?? ''} (${shortDigest(there)}), perhaps of an earlier transfer`,
          'choose another donor with --donor, or empty this one if nobody needs it any more',
        ),
      ];
    }),
  );
  const bytes = pull.blobs.reduce((sum, {action, size}) => sum + (action === 'copy' ? size : 0), 0);
  const found = [
    ...occupied,
    ...(donor.donor.kind === 'directory' ? directoryChecks(donor, bytes) : projectChecks(donor)),
  ];
  return found.length > 0
    ? found
    : [pass('DONOR_READY', donor.donor.path, 'the images can wait at the donor')];
}

function* directoryChecks({donor, freeBytes}: DonorFacts, bytes: number) {
  if (freeBytes === undefined || bytes <= freeBytes * DISK_SHARE) return;
  yield forbid(
    'DONOR_TOO_SMALL',
    donor.path,
    `the images take ${bytes} bytes, and ${donor.path} has ${freeBytes} free`,
    'make room, or choose another folder or a project with --donor',
  );
}

function* projectChecks({donor, problem, mayCreate, missingActions = [], probe}: DonorFacts) {
  if (problem !== undefined) yield forbidFinding(donor.path, problem);
  if (donor.kind === 'project' && donor.id === undefined && problem === undefined) {
    yield mayCreate
      ? warn(
          'DONOR_MISSING',
          donor.path,
          `there is no project ${donor.path} yet: it is created when the plan is applied`,
          'what its registry takes cannot be proved before; make it by hand and plan again to have that proved',
        )
      : forbid(
          'DONOR_MISSING',
          donor.path,
          `there is no project ${donor.path} for the images to wait in`,
          'make it, or have it made with --create-donor, or name a folder',
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
    yield pass(
      'DELETE_READY',
      donor.path,
      'a tag was pushed to the donor, deleted there, and was gone',
    );
  } else if (probe !== undefined) {
    yield forbidFinding(donor.path, probe);
  }
}
