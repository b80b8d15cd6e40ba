import type {Check} from '../../model/plan.ts';
import type {RegistryFacts, TransferFacts} from './facts.ts';
import {forbid, forbidFinding, pass, warn} from './finding.ts';

/** Tokens are good for a minute more or less than they say (GitLab container registry: auth/token, `Leeway`), in ms. */
const SKEW_LIMIT_MS = 60_000;

/** Whether the registry does what the plan takes. */
export function registryChecks({registry, project, donor}: TransferFacts): readonly Check[] {
  if (registry === undefined) return [];
  const probed = donor.probe !== undefined;
  return [
    ...grantChecks(registry, project.fullPath),
    ...writeChecks(registry),
    ...deleteChecks(registry, probed),
    ...clockChecks(registry),
  ];
}

function grantChecks({host, version, missingActions}: RegistryFacts, project: string): Check[] {
  const subject = `${host} ${project}`;
  if (missingActions === undefined) {
    return [
      warn(
        'REGISTRY_READY',
        subject,
        `the registry at ${host} does not tell beforehand what the token may do`,
        'make sure that the token may pull, push and delete there',
      ),
    ];
  }
  if (missingActions.length > 0) {
    return [
      forbid(
        'TOKEN_SCOPE_MISSING',
        subject,
        `the registry does not let this token ${missingActions.join(', ')} images of ${project}`,
        'use a token with the scope api, of a maintainer of the project; and no other login for the registry',
      ),
    ];
  }
  const name = version === undefined ? host : `${host} (${version})`;
  return [
    pass(
      'REGISTRY_READY',
      subject,
      `${name} lets this token pull, push and delete images of ${project}`,
    ),
  ];
}

/** With a folder as the donor everything has to be pushed again, so this is tried where the images are now. */
function writeChecks({host, writes}: RegistryFacts): readonly Check[] {
  if (writes === undefined) return [];
  if (writes !== 'taken') return writes.map((finding) => forbidFinding(host, finding));
  return [
    pass(
      'UPLOAD_READY',
      host,
      'the registry takes uploads, and manifests of every kind that the project has',
    ),
  ];
}

function deleteChecks({host, deletion, deletesTags}: RegistryFacts, isProbed: boolean): Check[] {
  if (typeof deletion === 'object') return [forbidFinding(host, deletion)];
  if (!deletesTags) {
    return [
      warn(
        'DELETE_UNPROVED',
        host,
        'the registry does not say that it deletes tags one by one; GitLab is asked to delete them instead',
        'tags that share a digest may be deleted together; they are all at the donor by then',
      ),
    ];
  }
  // Without the right to try it there is nothing to say; that it is missing is said above.
  if (isProbed || deletion === undefined) return [];
  return [
    pass(
      'DELETE_READY',
      host,
      'the registry takes deletions: it is neither read-only nor closed to them',
    ),
  ];
}

function clockChecks({host, aheadOfGitLabMs = 0, gitlabAheadMs = 0}: RegistryFacts): Check[] {
  const seconds = Math.round(Math.abs(aheadOfGitLabMs) / 1000);
  const hint = 'synchronise the clocks of both with NTP';
  const message = `the clocks of GitLab and of ${host} are ${seconds} s apart`;
  if (Math.abs(aheadOfGitLabMs) > SKEW_LIMIT_MS) {
    return [forbid('CLOCK_SKEW', host, `${message}: the registry refuses GitLab's tokens`, hint)];
  }
  if (Math.abs(aheadOfGitLabMs) > SKEW_LIMIT_MS / 2)
    return [warn('CLOCK_SKEW', host, message, hint)];
  if (Math.abs(gitlabAheadMs) <= SKEW_LIMIT_MS) return [];
  return [
    warn(
      'CLOCK_SKEW',
      'this machine',
      `the clock of this machine is ${Math.round(Math.abs(gitlabAheadMs) / 1000)} s from GitLab's`,
      'synchronise it with NTP; certificates and dates are checked against it',
    ),
  ];
}
