import {openSession, type Session} from '../library/session.ts';
import {type GitLabFlags, gitlabAccounts} from './gitlab-access.ts';
import type {Io} from './io.ts';
import type {HostFlags, LimitFlags} from './options.ts';
import type {PlanTrust} from './plan-trust.ts';
import {debugLog} from './reporters/debug-log.ts';
import {openReporter, type ProgressFlags} from './reporters/choose.ts';
import {cacheDirectory} from './user-directories.ts';

/** Flags of commands that access registries. */
type SessionFlags = HostFlags & LimitFlags & ProgressFlags & GitLabFlags;

/**
 * Opens registries and progress, runs `work`, and closes both in any case.
 * @param trust set if the hosts come from a plan file
 * @throws TransshipError USAGE for an invalid proxy or host; the errors of `work`
 */
export async function withSession<T>(
  io: Io,
  flags: SessionFlags,
  work: (session: Session) => Promise<T>,
  trust?: PlanTrust,
): Promise<T> {
  using reporter = openReporter(flags, io);
  const {authfile: authFile, caFile, plainHttp, insecure, allowUnsafeRedirects} = flags;
  const {archiveParts, cache, maxBytes, maxDuration, maxDeletes} = flags;
  const limits = {
    ...(maxDeletes === undefined ? {} : {maxDeletes}),
    ...(maxBytes === undefined ? {} : {maxBytes}),
    ...(maxDuration === undefined ? {} : {maxDuration}),
  };
  const {env, home, uid, now, timer, retry, redactor, temporary, stdin, isDebugging} = io;
  const form = flags.progress === 'json' ? 'json' : 'text';
  await using session = openSession({
    environment: env,
    home,
    uid,
    now,
    redactor,
    onEvent: reporter.report,
    stopping: io.stopping,
    signal: io.aborted,
    gitlabAccounts: gitlabAccounts(flags, io, trust),
    ...(trust ? {mayHaveLogin: (host, prefix) => trust.checkLogin(host, prefix)} : {}),
    ...(authFile === undefined ? {} : {authFile}),
    ...(caFile === undefined ? {} : {caFile}),
    ...(plainHttp ? {plainHttp} : {}),
    ...(insecure ? {insecure} : {}),
    ...(allowUnsafeRedirects ? {allowUnsafeRedirects} : {}),
    ...(archiveParts ? {archiveParts} : {}),
    ...(cache === true ? {cacheDirectory: cacheDirectory(env, home)} : {}),
    ...(Object.keys(limits).length === 0 ? {} : {limits}),
    ...(isDebugging === true ? {observe: debugLog(io, form)} : {}),
    ...(timer ? {timer} : {}),
    ...(retry ? {retry} : {}),
    ...(temporary ? {temporary} : {}),
    ...(stdin ? {stdin} : {}),
  });
  return await session.run(() => work(session));
}
