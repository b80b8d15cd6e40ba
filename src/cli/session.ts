import type {Report} from '../model/event.ts';
import type {Call} from '../model/port.ts';
import type {Io} from './io.ts';
import type {HostFlags} from './options.ts';
import type {PlanTrust} from './plan-trust.ts';
import {Registries} from './registries.ts';
import {openReporter, type ProgressKind} from './reporters/choose.ts';

/** What a command that talks to registries works with. */
export interface Session {
  readonly registries: Registries;
  readonly report: Report;
  readonly call: Call;
  /** For what changes nothing: there is nothing to finish, so the first signal ends it. */
  readonly reading: Call;
}

/**
 * Opens registries and progress, runs `work`, and closes both whatever happens.
 * @param trust where the hosts come from a plan file
 */
export async function withSession<T>(
  io: Io,
  flags: HostFlags & {readonly progress: ProgressKind},
  work: (session: Session) => Promise<T>,
  trust?: PlanTrust,
): Promise<T> {
  using reporter = openReporter(flags.progress, io);
  const {report} = reporter;
  await using registries = new Registries({
    io,
    flags,
    redactor: io.redactor,
    report,
    ...(trust ? {trust} : {}),
  });
  return await work({
    registries,
    report,
    call: {signal: io.aborted},
    reading: {signal: AbortSignal.any([io.stopping, io.aborted])},
  });
}
