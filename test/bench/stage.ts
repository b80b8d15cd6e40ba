import {type Content, findDifferences, pushContent} from './content.ts';
import type {LineSpeed} from './delayed-line.ts';
import {type Link, type Links, startLinks} from './links.ts';
import {type CountingRegistry, startRegistry} from './registries.ts';
import type {CopyJob} from './copy-job.ts';
import type {Workload} from './workloads.ts';

const REPOSITORY = 'bench/app';

/** The registries of a workload, for all its runs. */
export interface Stage extends AsyncDisposable {
  readonly content: Content;
  /** Sum of the blobs, in bytes. */
  readonly bytes: number;
  /** Begins a run: an empty destination, unless the workload is done already, and fresh links. */
  openRun(): Promise<RunStage>;
}

/** What one run of a tool works on. */
export interface RunStage extends AsyncDisposable {
  readonly job: CopyJob;
  readonly toSource: Link | undefined;
  readonly toDestination: Link | undefined;
  /** What the registries logged in this run. */
  counts(): Promise<{readonly requests: number; readonly readBytes: number}>;
  /** One line for each tag that the destination does not have as it should. */
  differences(): Promise<readonly string[]>;
}

/** Starts the source and fills it; the destination too, where there is nothing to do. */
export async function openStage(workload: Workload): Promise<Stage> {
  await using cleanup = new AsyncDisposableStack();
  const source = cleanup.use(await startRegistry('docker'));
  const content = await pushContent(source.url, REPOSITORY, workload.content);
  let filled: CountingRegistry | undefined;
  if (workload.isDone) {
    filled = cleanup.use(await startRegistry('docker'));
    await pushContent(filled.url, REPOSITORY, workload.content);
  }
  const isFar = workload.source !== undefined || workload.destination !== undefined;
  const links = isFar ? cleanup.use(await startLinks()) : undefined;
  const owned = cleanup.move();
  return {
    content,
    bytes: content.blobs.reduce((sum, {size}) => sum + size, 0),
    openRun: () => openRun(workload, content, source, filled, links),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function openRun(
  workload: Workload,
  content: Content,
  source: CountingRegistry,
  filled: CountingRegistry | undefined,
  links: Links | undefined,
): Promise<RunStage> {
  await using cleanup = new AsyncDisposableStack();
  const link = async (registry: CountingRegistry, speed: LineSpeed | undefined) =>
    speed && links && cleanup.use(await links.open(registry.host, speed));
  const destination = filled ?? cleanup.use(await startRegistry(workload.into ?? 'docker'));
  const toSource = await link(source, workload.source);
  const toDestination = await link(destination, workload.destination);
  await source.forgetRequests();
  await destination.forgetRequests();
  const owned = cleanup.move();
  return {
    job: {
      source: (toSource ?? source).host,
      destination: (toDestination ?? destination).host,
      repository: content.repository,
      tags: [...content.tags.keys()],
      digests: content.blobs.map(({digest}) => digest),
      isDone: workload.isDone ?? false,
    },
    toSource,
    toDestination,
    async counts() {
      const read = await source.requests();
      const written = await destination.requests();
      return {
        requests: read.length + written.length,
        readBytes: read.reduce((sum, {bytes}) => sum + bytes, 0),
      };
    },
    differences: () => findDifferences(destination.url, content),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
