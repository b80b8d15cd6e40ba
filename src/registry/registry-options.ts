import type {HttpClient} from '../http/client.ts';
import type {Side} from '../model/error.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Credentials} from './credentials/credentials.ts';

/** Options of a registry. */
export interface RegistryOptions {
  /** `host[:port]` of a reference, in lower case. */
  readonly host: string;
  /** The side to report in errors. */
  readonly side: Side;
  readonly http: HttpClient;
  /** Speak HTTP without TLS (`--plain-http`). Loopback hosts do not need it. */
  readonly plainHttp?: boolean;
  /** Called before each token request and each request with Basic authentication; undefined: anonymous. */
  readonly credentials?: (path: RepositoryPath | undefined) => Promise<Credentials | undefined>;
  /** Called with each access token, to redact it in messages. */
  readonly learnToken?: (token: string) => void;
  /** Called once for each peculiarity of the registry that was worked around. */
  readonly notice?: (notice: RegistryNotice) => void;
  /**
   * The notices already sent. Registries that share this set send each notice once: a host may be both source and
   * destination. Default: not shared.
   */
  readonly noticed?: Set<string>;
  /** ms since the epoch, for the expiry of tokens. Default: `Date.now`. */
  readonly now?: () => number;
}

/** Optional features of the distribution API, as named in messages. */
export const REGISTRY_FEATURES = {
  chunks: 'chunked uploads',
  database: 'the API of the metadata database',
  'blob-head': 'HEAD requests for blobs',
  head: 'HEAD requests for manifests',
  list: 'lists of tags',
  mount: 'cross-repository mounts',
  pagination: 'paginated lists',
  ranges: 'range requests',
  referrers: 'the referrers API',
} as const;

/** An optional feature of the distribution API. */
export type RegistryFeature = keyof typeof REGISTRY_FEATURES;

/** A notice about a peculiarity of a registry. */
export interface RegistryNotice {
  /**
   * `UPLOAD_LOCATION_…`: upload URLs use http although the registry is accessed over https, or vice versa, or lack the
   * registry's port. `FEATURE_NOT_USED`: an optional feature failed, and a fallback is used. `SAVED_UPLOAD_IGNORED`:
   * the journal names an upload at an origin where the registry has none.
   */
  readonly code:
    | 'UPLOAD_LOCATION_HTTP'
    | 'UPLOAD_LOCATION_HTTPS'
    | 'UPLOAD_LOCATION_PORT'
    | 'FEATURE_NOT_USED'
    | 'SAVED_UPLOAD_IGNORED';
  readonly message: string;
}
