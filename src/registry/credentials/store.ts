import type {Environment} from '../../http/proxy.ts';
import type {Redactor} from '../../http/redaction.ts';
import type {TransshipError} from '../../model/error.ts';
import {canonicalRegistry, DOCKER_HUB} from '../../model/reference.ts';
import {
  type AuthFile,
  dockerConfigFile,
  parseAuthFile,
  podmanAuthFiles,
  readAuthEntry,
  readAuthFile,
  type SystemUser,
} from './auth-file.ts';
import {
  type Credentials,
  type CredentialSide,
  credentialsInvalid,
  learnCredentials,
} from './credentials.ts';
import {findForHost, gitlabJobCredentials, sideCredentials} from './environment.ts';
import {askHelper, helperProgram} from './helper.ts';

/** The key under which docker login stores Docker Hub. */
const DOCKER_HUB_SERVER = 'https://index.docker.io/v1/';

/** A host that credentials are wanted for. */
export interface CredentialRequest {
  /** `host[:port]`, as references name it; Docker Hub is `docker.io`. */
  readonly host: string;
  readonly side: CredentialSide;
  /** The repository path, where one is meant. */
  readonly repository?: string;
}

/** Finds the credentials of a host; undefined: it knows none. Asked again whenever a token is wanted. */
export type FindCredentials = (
  request: CredentialRequest,
) => Credentials | undefined | Promise<Credentials | undefined>;

/** The sources of credentials. */
export interface CredentialSources {
  /** Asked first. */
  readonly given?: FindCredentials;
  readonly env: Environment;
  readonly user: SystemUser;
  /** `--authfile`: it must exist. */
  readonly authFile?: string;
  /** Receives each secret before it is returned. */
  readonly redactor: Redactor;
  /**
   * Called before credentials from variables without a host are used for a registry; rejects to forbid it. Default:
   * always allowed.
   */
  readonly mayHaveLogin?: (registry: string, prefix: string) => Promise<void>;
  /** The signal of the run: ends running helpers. */
  readonly signal: AbortSignal;
  /** Timeout of a credential helper, in ms. */
  readonly helperTimeoutMs?: number;
}

/**
 * Finds the credentials of a host. It asks `given` first, then uses the first of these sources that has any:
 * 1. the variables of the side, TRANSSHIP_SOURCE_* or TRANSSHIP_DESTINATION_*;
 * 2. the file of `--authfile`;
 * 3. the file of REGISTRY_AUTH_FILE;
 * 4. podman's files;
 * 5. docker's: the JSON in DOCKER_AUTH_CONFIG, then `config.json`;
 * 6. those of `logIn`: the token for GitLab's API, for its registry;
 * 7. in a GitLab job, for the registry of its instance: the job's own login.
 * Within a file: `credHelpers`, then `auths`, then `credsStore`.
 *
 * The variables of a side belong to one host: the one in TRANSSHIP_<SIDE>_HOST, or else the first one on that side, if
 * `mayHaveLogin` allows it. A second host on that side is then an error, so that no password is sent to the wrong
 * registry.
 *
 * Files are read once, and each helper runs once for a server; `forget` clears these results.
 */
export class CredentialStore {
  readonly #sources: CredentialSources;
  readonly #sideHosts = new Map<CredentialSide, {registry: string; allowed: Promise<void>}>();
  readonly #answers = new Map<string, Promise<Credentials | undefined>>();
  readonly #derived = new Map<string, Credentials>();
  readonly #announced = new Map<CredentialSide, Set<string>>();
  #files: Promise<readonly AuthFile[]> | undefined;

  constructor(sources: CredentialSources) {
    this.#sources = sources;
  }

  /**
   * Undefined: there are no credentials for this host; requests are anonymous.
   * @param host `host[:port]` of a reference
   * @param repositoryPath for files that have credentials for single namespaces, as podman's may
   * @throws TransshipError CREDENTIALS_INVALID, CREDENTIAL_HELPER_FAILED
   */
  async find(
    host: string,
    side: CredentialSide,
    repositoryPath?: string,
  ): Promise<Credentials | undefined> {
    const {env, given, redactor} = this.#sources;
    const registry = canonicalRegistry(host);
    const repository = repositoryPath === undefined ? {} : {repository: repositoryPath};
    const found =
      (await given?.({host: registry, side, ...repository})) ??
      (await this.#forSide(registry, side)) ??
      (await this.#inFiles(registry, repositoryPath)) ??
      this.#derived.get(registry) ??
      gitlabJobCredentials(env, registry);
    if (found) learnCredentials(found, redactor);
    return found;
  }

  /** Adds credentials for a host, which are used if the user has no login for it. @param host `host[:port]` */
  logIn(host: string, credentials: Credentials): void {
    this.#derived.set(canonicalRegistry(host), credentials);
  }

  /**
   * Names the registries of a side before any of them is asked. Of several, the variables of the side could mean any,
   * so without a host they are sent to none.
   * @param hosts `host[:port]` of references
   */
  announce(side: CredentialSide, hosts: Iterable<string>): void {
    const announced = this.#announced.get(side) ?? new Set();
    for (const host of hosts) announced.add(canonicalRegistry(host));
    this.#announced.set(side, announced);
  }

  /** Clears the cache: after a refusal, a file or a helper may have newer credentials. */
  forget(): void {
    this.#files = undefined;
    this.#answers.clear();
  }

  async #forSide(registry: string, side: CredentialSide): Promise<Credentials | undefined> {
    const given = sideCredentials(this.#sources.env, side);
    if (!given) return undefined;
    if (given.host !== undefined) return given.host === registry ? given.credentials : undefined;
    for (const other of this.#announced.get(side) ?? [])
      if (other !== registry) throw ambiguous(given.prefix, registry, other);
    const {mayHaveLogin} = this.#sources;
    const meant = this.#sideHosts.get(side) ?? {
      registry,
      allowed: mayHaveLogin?.(registry, given.prefix) ?? Promise.resolve(),
    };
    this.#sideHosts.set(side, meant);
    if (meant.registry === registry) {
      await meant.allowed;
      return given.credentials;
    }
    throw ambiguous(given.prefix, meant.registry, registry);
  }

  async #inFiles(registry: string, path: string | undefined): Promise<Credentials | undefined> {
    this.#files ??= this.#readFiles();
    for (const file of await this.#files) {
      const found = await this.#inFile(file, registry, path);
      if (found) return found;
    }
    return undefined;
  }

  async #inFile(
    file: AuthFile,
    registry: string,
    path: string | undefined,
  ): Promise<Credentials | undefined> {
    const server = registry === DOCKER_HUB ? DOCKER_HUB_SERVER : registry;
    const helper = findForHost(file.credHelpers, registry, path)?.value;
    const ofHelper = helper ? await this.#fromHelper(helper, server, file) : undefined;
    if (ofHelper) return ofHelper;
    const entry = findForHost(file.auths, registry, path);
    const ofEntry = entry && readAuthEntry(file.name, entry.key, entry.value);
    if (ofEntry) return ofEntry;
    if (helper !== undefined || file.credsStore === undefined) return undefined;
    // Docker leaves an empty entry under the name that the credential store uses for the secret.
    return this.#fromHelper(file.credsStore, entry?.key ?? server, file);
  }

  #fromHelper(name: string, server: string, file: AuthFile): Promise<Credentials | undefined> {
    const {env, redactor, signal, helperTimeoutMs} = this.#sources;
    const program = helperProgram(name, file.name);
    const key = `${program} ${server}`;
    const asked =
      this.#answers.get(key) ??
      askHelper(program, server, {
        env,
        redactor,
        signal,
        ...(helperTimeoutMs === undefined ? {} : {timeoutMs: helperTimeoutMs}),
      });
    this.#answers.set(key, asked);
    return asked;
  }

  async #readFiles(): Promise<readonly AuthFile[]> {
    const {env, user, authFile} = this.#sources;
    const named = authFile === undefined ? undefined : await readAuthFile(authFile);
    if (authFile !== undefined && !named) {
      throw credentialsInvalid(
        `--authfile: there is no file ${authFile}`,
        'name a file that docker login or podman login wrote',
      );
    }
    const given = env['DOCKER_AUTH_CONFIG'];
    return [
      ...(named ? [named] : []),
      ...(await readAll([env['REGISTRY_AUTH_FILE'], ...podmanAuthFiles(env, user)])),
      ...(given ? [await parseAuthFile('DOCKER_AUTH_CONFIG', given)] : []),
      ...(await readAll([dockerConfigFile(env, user)])),
    ];
  }
}

function ambiguous(prefix: string, ...hosts: readonly [string, string]): TransshipError {
  return credentialsInvalid(
    `the variables ${prefix}_* could mean ${hosts.join(' or ')}`,
    `set ${prefix}_HOST to the host that they belong to, and log in to the other host with docker login or podman login`,
  );
}

/** Those of the files that exist, in order. */
async function readAll(files: readonly (string | undefined)[]): Promise<readonly AuthFile[]> {
  const read = await Promise.all(files.flatMap((file) => (file ? [readAuthFile(file)] : [])));
  return read.filter((file) => file !== undefined);
}
