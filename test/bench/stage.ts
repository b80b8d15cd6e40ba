import type {LoggedRequest} from '../support/access-log.ts';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {type Content, findDifferences, pushContent} from './content.ts';
import type {LineSpeed} from './delayed-line.ts';
import {type Link, startLink} from './link.ts';
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
  /** Requests that the registries logged in this run. */
  requests(): Promise<{
    readonly source: readonly LoggedRequest[];
    readonly destination: readonly LoggedRequest[];
  }>;
  /** One line for each tag that the destination does not have as it should. */
  differences(): Promise<readonly string[]>;
}

/** Starts the source and fills it; the destination too, where there is nothing to do. */
export async function openStage(workload: Workload): Promise<Stage> {
  await using cleanup = new AsyncDisposableStack();
  const source = cleanup.use(await startDockerRegistry());
  const content = await pushContent(source.url, REPOSITORY, workload.content);
  let filled: DockerRegistry | undefined;
  if (workload.isDone) {
    filled = cleanup.use(await startDockerRegistry());
    await pushContent(filled.url, REPOSITORY, workload.content);
  }
  const owned = cleanup.move();
  return {
    content,
    bytes: content.blobs.reduce((sum, {size}) => sum + size, 0),
    openRun: () => openRun(workload, content, source, filled),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function openRun(
  workload: Workload,
  content: Content,
  source: DockerRegistry,
  filled: DockerRegistry | undefined,
): Promise<RunStage> {
  await using cleanup = new AsyncDisposableStack();
  const link = async (registry: DockerRegistry, speed: LineSpeed | undefined) =>
    speed && cleanup.use(await startLink(registry.host, speed));
  const destination = filled ?? cleanup.use(await startDockerRegistry());
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
    },
    toSource,
    toDestination,
    async requests() {
      return {source: await source.requests(), destination: await destination.requests()};
    },
    differences: () => findDifferences(destination.url, content),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
