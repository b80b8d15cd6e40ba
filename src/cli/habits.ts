import {type Command, Option} from 'commander';
import {TransshipError} from '../model/error.ts';
import {parsePlace} from '../model/place.ts';
import type {HostFlags} from './options.ts';
import type {ProgressKind} from './reporters/choose.ts';

/*
 * What people type who know skopeo, crane and docker: taken as they mean it, or refused with the way that works here.
 */

/** Logins on the command line can be read by all users of the machine (skopeo-copy(1), crane, regctl). */
const LOGIN_FLAGS = [
  '--src-creds',
  '--dest-creds',
  '--creds',
  '--src-username',
  '--src-password',
  '--dest-username',
  '--dest-password',
  '--src-registry-token',
  '--dest-registry-token',
  '--registry-token',
  '--username',
  '--password',
];

/**
 * The command line as this program knows it: `help`, `version`, no command.
 * @throws TransshipError USAGE for what is done in another way here
 */
export function knownArguments(args: readonly string[]): readonly string[] {
  const [first, ...rest] = args;
  if (first === undefined) return ['--help'];
  if (first === 'plan' && rest.length === 0) return ['plan', '--help'];
  if (first === 'help') return [...rest.filter((word) => word !== '--help'), '--help'];
  if (first === 'version') return ['--version', ...rest];
  if (first === 'login' || first === 'logout') {
    throw usage(
      `transship has no ${first}: it uses the logins of docker, podman and skopeo`,
      `run docker ${first} HOST, or set TRANSSHIP_SOURCE_USERNAME and TRANSSHIP_SOURCE_PASSWORD`,
    );
  }
  // The sandbox has a login of its own, for everybody to know.
  const login =
    first === 'sandbox'
      ? undefined
      : LOGIN_FLAGS.find((flag) =>
          args.some((word) => word === flag || word.startsWith(`${flag}=`)),
        );
  if (login !== undefined) {
    const side = login.startsWith('--dest') ? 'DESTINATION' : 'SOURCE';
    throw usage(
      `${login} would show the login to other users of this machine`,
      `set TRANSSHIP_${side}_USERNAME and TRANSSHIP_${side}_PASSWORD (or TRANSSHIP_${side}_TOKEN), or run docker login HOST`,
    );
  }
  return args;
}

/** Flags of skopeo's copy that mean something here. */
export interface HabitFlags {
  readonly srcTlsVerify?: string;
  readonly destTlsVerify?: string;
  readonly quiet?: boolean;
}

/** Takes what skopeo and crane take; most of it is so in any case. */
export function addHabitFlags(command: Command): Command {
  const hidden = [
    new Option('--src-tls-verify <boolean>').choices(['true', 'false']),
    new Option('--dest-tls-verify <boolean>').choices(['true', 'false']),
    // All platforms, the same digests, and going on after a failure are the default.
    new Option('-a, --all'),
    new Option('--preserve-digests'),
    new Option('--keep-going'),
    new Option('--multi-arch <which>').choices(['all']),
  ];
  for (const option of hidden) command.addOption(option.hideHelp());
  return command.option('-q, --quiet', 'show no progress');
}

/** The flags as this program has them: a host whose certificate is not to be checked, and no progress. */
export function withHabits<T extends HabitFlags & HostFlags & {readonly progress: ProgressKind}>(
  flags: T,
  source: string,
  destination: string,
): T {
  const {srcTlsVerify, destTlsVerify, quiet, insecure = []} = flags;
  const hosts = [
    ...(srcTlsVerify === 'false' ? hostOf(source) : []),
    ...(destTlsVerify === 'false' ? hostOf(destination) : []),
  ];
  return {
    ...flags,
    ...(hosts.length === 0 ? {} : {insecure: [...insecure, ...hosts]}),
    ...(quiet === true ? {progress: 'none' as const} : {}),
  };
}

function hostOf(text: string): readonly string[] {
  const place = parsePlace(text);
  return place.transport === 'docker' ? [place.reference.registry] : [];
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
