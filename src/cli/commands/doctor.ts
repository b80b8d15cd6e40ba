import {type Command, InvalidArgumentError} from 'commander';
import {checkConnection} from '../../doctor/connection-checks.ts';
import {attempted, type Examination, type Finding, warned} from '../../doctor/examination.ts';
import {checkGitLab} from '../../doctor/gitlab-checks.ts';
import {checkBase, checkReading} from '../../doctor/registry-checks.ts';
import {checkWriting} from '../../doctor/writing-checks.ts';
import type {Session} from '../../library/session.ts';
import {TransshipError} from '../../model/error.ts';
import {parseReference, type RepositoryPath} from '../../model/reference.ts';
import {parseHostAndPath} from '../../plan/migration/registry-path.ts';
import {type ExaminationFormat, renderExamination, worstOf} from '../../report/examination.ts';
import {addGitLabFlags, type GitLabFlags, openGitLab} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {
  addFormatFlag,
  addHostFlags,
  addProgressFlag,
  byteSize,
  type HostFlags,
} from '../options.ts';
import type {ProgressKind} from '../reporters/choose.ts';
import {withSession} from '../session.ts';
import {pathOf} from '../transfer-wish.ts';

interface Flags extends HostFlags, GitLabFlags {
  readonly project?: string;
  readonly write?: boolean;
  /** In bytes. */
  readonly maxBody?: number;
  readonly format: ExaminationFormat;
  readonly progress: ProgressKind;
}

function bodySize(text: string): number {
  const bytes = byteSize(text);
  if (bytes >= LEAST_BODY) return bytes;
  throw new InvalidArgumentError('write a size of at least 1MiB');
}

const LEAST_BODY = 1024 * 1024;

/** The maximum size of a trial request, in bytes: proxies with limits have lower ones. */
const MOST_BODY = 128 * 1024 * 1024;

/** `transship doctor`: finds out what a registry supports, and what would fail. */
export function addDoctor(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('doctor')
    .summary('find out what a registry can do and what would go wrong')
    .description(
      'Looks up the name, checks the certificate, the proxy, the clock, the login, and with a repository how tags and ' +
        'blobs can be read. Changes nothing, except with --write, which pushes small artifacts into the repository and ' +
        'deletes them again. Exit 1: something fails.',
    )
    .argument('[place]', 'host or host/repository; may be left out with --gitlab')
    .option('--project <path>', 'with --gitlab: look at this project, by full path or id')
    .option('--write', 'also try uploads, mounts, manifests and deletion in the repository')
    .option(
      '--max-body <size>',
      'with --write: the largest request to try, 1MiB to 128MiB',
      bodySize,
    )
    .addHelpText(
      'after',
      `
Examples:
  transship doctor registry.example.com
  transship doctor gitlab.example.com:5050/group/app --format markdown
  transship doctor gitlab.example.com:5050/group/sandbox --write
  transship doctor --gitlab https://gitlab.example.com --project group/app`,
    );
  addFormatFlag(addProgressFlag(addHostFlags(addGitLabFlags(command))), [
    'text',
    'json',
    'markdown',
  ]).action(async (text: string | undefined, flags: Flags) => {
    const place = text === undefined ? undefined : readPlace(text, flags);
    if (place === undefined && flags.gitlab === undefined)
      throw usage('no registry was given', 'write host, host/repository, or --gitlab URL');
    if (flags.project !== undefined && flags.gitlab === undefined)
      throw usage('--project needs a GitLab', 'add --gitlab https://gitlab.example.com');
    const findings = await withSession(io, flags, async (session) => [
      ...(flags.gitlab === undefined ? [] : await examineGitLab(place, flags, io, session)),
      ...(place === undefined ? [] : await examine(place, flags, io, session)),
    ]);
    const examination: Examination = {place: text ?? flags.gitlab ?? '', findings};
    io.stdout.write(renderExamination(examination, flags.format));
    done(worstOf(findings) === 'fail' ? 1 : 0);
  });
}

interface PlaceToExamine {
  readonly host: string;
  readonly path: RepositoryPath | undefined;
}

/** @throws TransshipError USAGE, REFERENCE_INVALID */
function readPlace(text: string, {write}: Flags): PlaceToExamine {
  const {host, path} = parseHostAndPath(text);
  if (path !== '') return {host, path: parseReference(`${host}/${path}`).path};
  if (write === true) throw usage('--write needs a repository', 'write host/repository --write');
  return {host, path: undefined};
}

async function examine(
  {host, path}: PlaceToExamine,
  {write, maxBody = MOST_BODY}: Flags,
  io: Io,
  {places, settings, reading: call}: Session,
): Promise<readonly Finding[]> {
  const registry = places.registry(host, 'destination');
  let base: URL | undefined;
  const findings: Finding[] = [];
  findings.push(
    ...(await attempted('connection', call.signal, async () => {
      base = await registry.baseUrl(call);
      return await checkConnection(base, settings, io.now(), call.signal);
    })),
  );
  if (base === undefined || findings.some(({result}) => result === 'fail')) return findings;
  findings.push(...(await checkBase(registry, () => io.now(), call)));
  if (path === undefined || findings.some(({result}) => result === 'fail')) return findings;
  findings.push(...(await checkReading(registry, path, call)));
  if (write === true)
    findings.push(
      ...(await checkWriting(registry, path, {base, mostBody: Math.min(maxBody, MOST_BODY)}, call)),
    );
  return findings;
}

/** The instance and, unless a place is named, the registry of the project. */
async function examineGitLab(
  place: PlaceToExamine | undefined,
  flags: Flags,
  io: Io,
  session: Session,
): Promise<readonly Finding[]> {
  const access = await openGitLab(flags, io, session);
  const {findings, repository, registryHost} = await checkGitLab(
    access.gitlab,
    flags.project && pathOf(flags.project, access.gitlab.url.href, '--project'),
    io.now(),
    session.reading,
  );
  const where = repository ?? registryHost;
  if (where === undefined || place !== undefined) return findings;
  // Writing would leave an empty repository, which prevents groups from being moved.
  const isToWrite = flags.write === true && repository !== undefined;
  const found = readPlace(where, {...flags, write: isToWrite});
  access.openRegistry(found.host, 'destination');
  const rest = await examine(found, {...flags, write: isToWrite}, io, session);
  const unwritten =
    flags.write === true && !isToWrite
      ? [
          warned(
            'upload',
            'nothing was written: the project has no repository with tags',
            `name a repository: transship doctor ${where}/PROJECT/NAME --write`,
          ),
        ]
      : [];
  return [...findings, ...rest, ...unwritten];
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
