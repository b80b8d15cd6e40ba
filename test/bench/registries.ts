import {GITLAB_FLAVOUR} from '../../src/sandbox/registry.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {tempDirectory} from '../support/temp.ts';

/** A registry that counts what it is asked. */
export interface CountingRegistry extends AsyncDisposable {
  /** `host:port` */
  readonly host: string;
  readonly url: string;
  forgetRequests(): Promise<void>;
  requests(): Promise<readonly {readonly bytes: number}[]>;
}

/**
 * `docker`: a docker-registry process. `gitlab`: the sandbox, which tells the true offset of an upload that was cut
 * off, as GitLab's registry does; docker-registry 2 and 3 end such an upload (registry/handlers/blobupload.go,
 * `ResumeBlobUpload`).
 */
export type RegistryKind = 'docker' | 'gitlab';

export function startRegistry(kind: RegistryKind): Promise<CountingRegistry> {
  return kind === 'docker' ? startDockerRegistry() : startGitlabLike();
}

async function startGitlabLike(): Promise<CountingRegistry> {
  await using cleanup = new AsyncDisposableStack();
  const temp = cleanup.use(await tempDirectory());
  const sandbox = cleanup.use(
    await startSandbox({
      storage: {kind: 'directory', path: temp.join('storage')},
      flavour: GITLAB_FLAVOUR,
    }),
  );
  const owned = cleanup.move();
  return {
    host: sandbox.host,
    url: sandbox.url,
    forgetRequests: () => Promise.resolve(sandbox.log.clear()),
    requests: () => Promise.resolve(sandbox.log.entries.map(({bytesOut: bytes}) => ({bytes}))),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
