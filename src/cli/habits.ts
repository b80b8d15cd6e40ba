import {type Command, Option} from 'commander';
import {TransshipError} from '../model/error.ts';
import {parsePlace} from '../model/place.ts';
import {collect, type HostFlags} from './options.ts';
import type {ProgressKind} from './reporters/choose.ts';

/*
 * What people type who know skopeo, crane and docker: taken as they mean it, or refused with the way that works here.
 */

/** All users of the machine can read logins on the command line (skopeo-copy(1), crane, regctl). */
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

/** Flags of skopeo and crane with another equivalent here, and what to do instead. */
const DONE_OTHERWISE: Readonly<Record<string, string>> = {
  '--src-authfile': 'write --authfile FILE: one file has the logins of both sides',
  '--dest-authfile': 'write --authfile FILE: one file has the logins of both sides',
  '--src-cert-dir': 'write --ca-file FILE, or put the certificates into /etc/docker/certs.d/HOST',
  '--dest-cert-dir': 'write --ca-file FILE, or put the certificates into /etc/docker/certs.d/HOST',
  '--src-no-creds': 'leave it out: without a login, none is used',
  '--dest-no-creds': 'leave it out: without a login, none is used',
  '--override-os': 'write --platform os/arch[/variant]; without it, all platforms are copied',
  '--override-arch': 'write --platform os/arch[/variant]; without it, all platforms are copied',
  '--override-variant': 'write --platform os/arch[/variant]; without it, all platforms are copied',
  '--remove-signatures': 'images keep their bytes here; use skopeo for what changes them',
  '--sign-by': 'images keep their bytes here; sign them with cosign or skopeo',
  '--dest-compress': 'images keep their bytes here; use skopeo for what changes them',
  '--dest-compress-format': 'images keep their bytes here; use skopeo for what changes them',
  '--encryption-key': 'images keep their bytes here; use skopeo for what changes them',
  '--decryption-key': 'images keep their bytes here; use skopeo for what changes them',
};

/** Commands of skopeo, crane, regctl and docker, and the equivalent commands of transship. */
const COMMANDS_ELSEWHERE: Readonly<Record<string, string>> = {
  sync: 'transship copy HOST/REPOSITORY DESTINATION for all tags, transship plan FILE.yaml for many repositories',
  mirror: 'transship plan FILE.yaml',
  delete: 'transship plan delete HOST/REPOSITORY --tag TAG',
  rm: 'transship plan delete HOST/REPOSITORY --tag TAG',
  ls: 'transship inventory HOST/REPOSITORY',
  catalog: 'transship inventory HOST',
  'list-tags': 'transship inventory HOST/REPOSITORY',
  inspect: 'transship inventory HOST/REPOSITORY --format json',
  pull: 'transship copy HOST/REPOSITORY:TAG oci:DIR',
  push: 'transship copy oci:DIR:TAG HOST/REPOSITORY:TAG',
  tag: 'transship copy HOST/REPOSITORY:TAG HOST/REPOSITORY:NEW_TAG',
  save: 'transship copy HOST/REPOSITORY:TAG oci-archive:FILE',
  load: 'transship copy oci-archive:FILE HOST/REPOSITORY:TAG',
};

/** A flag in most skopeo scripts, which has no effect here. */
const SAID_BEFORE_THE_COMMAND = '--insecure-policy';

/**
 * Translates the command line of other tools: `help`, `version`, no command.
 * @throws TransshipError USAGE for commands and flags with another equivalent here
 */
export function knownArguments(given: readonly string[]): readonly string[] {
  const args = given.filter((word) => word !== SAID_BEFORE_THE_COMMAND);
  const [first, ...rest] = args;
  if (first === 'cp') return knownArguments(['copy', ...rest]);
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
  if (Object.hasOwn(COMMANDS_ELSEWHERE, first)) {
    const instead = COMMANDS_ELSEWHERE[first] ?? '';
    throw usage(`transship has no command ${first}`, `write ${instead}`);
  }
  const isGiven = (flag: string): boolean =>
    args.some((word) => word === flag || word.startsWith(`${flag}=`));
  const other = Object.keys(DONE_OTHERWISE).find(isGiven);
  if (other !== undefined)
    throw usage(`transship has no ${other}`, DONE_OTHERWISE[other] ?? 'leave it out');
  // The sandbox has its own login, which is not secret.
  const login = first === 'sandbox' ? undefined : LOGIN_FLAGS.find(isGiven);
  if (login !== undefined) {
    const side = login.startsWith('--dest') ? 'DESTINATION' : 'SOURCE';
    throw usage(
      `${login} would show the login to other users of this machine`,
      `set TRANSSHIP_${side}_USERNAME and TRANSSHIP_${side}_PASSWORD (or TRANSSHIP_${side}_TOKEN), or run docker login HOST`,
    );
  }
  return args;
}

/** Flags of skopeo's copy that have an equivalent here. */
export interface HabitFlags {
  readonly srcTlsVerify?: string;
  readonly destTlsVerify?: string;
  readonly quiet?: boolean;
  readonly additionalTag?: readonly string[];
}

/** Accepts flags of skopeo and crane; most of them request what is the default here. */
export function addHabitFlags(command: Command): Command {
  const hidden = [
    new Option('--src-tls-verify <boolean>').choices(['true', 'false']),
    new Option('--dest-tls-verify <boolean>').choices(['true', 'false']),
    // Copying all platforms, keeping the digests, and continuing after a failure are the default.
    new Option('-a, --all'),
    new Option('--preserve-digests'),
    new Option('--keep-going'),
    new Option('--all-tags'),
    // Retries and concurrency adapt to the registries.
    new Option('--retry-times <n>'),
    new Option('--retry-delay <time>'),
    new Option('--image-parallel-copies <n>'),
    new Option('--multi-arch <which>').choices(['all']),
  ];
  for (const option of hidden) command.addOption(option.hideHelp());
  return command
    .option('-q, --quiet', 'show no progress')
    .option(
      '--additional-tag <tag>',
      'also give the image this tag at the destination (repeatable)',
      collect,
    );
}

/** The equivalent flags of transship: a host without certificate checks, and no progress. */
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
