import type {Report} from '../model/event.ts';
import type {Call} from '../model/port.ts';
import type {Io} from './io.ts';
import type {HostFlags} from './options.ts';
import {Registries} from './registries.ts';
import {openReporter, type ProgressKind} from './reporters/choose.ts';

/** What a command that talks to registries works with. */
export interface Session {
  readonly registries: Registries;
  readonly report: Report;
  readonly call: Call;
}

type SessionFlags = HostFlags & {readonly progress: ProgressKind};

/** Opens registries and progress, runs `work`, and closes both whatever happens. */
export async function withSession<T>(
  io: Io,
  flags: SessionFlags,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const tell = (): void => {
    io.stderr.write('finishing what is under way; interrupt again to stop at once\n');
  };
  io.stopping.addEventListener('abort', tell, {once: true});
  try {
    return await runSession(io, flags, work);
  } finally {
    io.stopping.removeEventListener('abort', tell);
  }
}

async function runSession<T>(
  io: Io,
  flags: SessionFlags,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  using reporter = await openReporter(flags.progress, io);
  const {report} = reporter;
  await using registries = new Registries({io, flags, redactor: io.redactor, report});
  return await work({registries, report, call: {signal: io.aborted}});
}
