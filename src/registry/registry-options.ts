import type {HttpClient} from '../http/client.ts';
import type {Side} from '../model/error.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Credentials} from './credentials/credentials.ts';

/** What a registry is opened with. */
export interface RegistryOptions {
  /** `host[:port]` of a reference, in lower case. */
  readonly host: string;
  /** Whose failures they are. */
  readonly side: Side;
  readonly http: HttpClient;
  /** Speak HTTP without TLS (`--plain-http`). Loopback hosts need no leave for it. */
  readonly plainHttp?: boolean;
  /** Asked before each token and each request with Basic authentication; undefined: anonymous. */
  readonly credentials?: (path: RepositoryPath | undefined) => Promise<Credentials | undefined>;
  /** Told each access token, so that it can be kept out of messages. */
  readonly learnToken?: (token: string) => void;
  /** Told what is odd about the registry and was put right, each thing once. */
  readonly notice?: (notice: RegistryNotice) => void;
  /**
   * What `notice` was told already. Registries that share it tell each thing once for all of them: a host may be open as
   * source and as destination. Default: one of its own.
   */
  readonly noticed?: Set<string>;
  /** ms since the epoch, for the expiry of tokens. Default: `Date.now`. */
  readonly now?: () => number;
}

/** Optional features of the distribution API, in the words of messages. */
export const REGISTRY_FEATURES = {
  chunks: 'chunked uploads',
  'blob-head': 'HEAD requests for blobs',
  head: 'HEAD requests for manifests',
  list: 'lists of tags',
  mount: 'cross-repository mounts',
  pagination: 'paginated lists',
  ranges: 'range requests',
  referrers: 'the referrers API',
} as const;

export type RegistryFeature = keyof typeof REGISTRY_FEATURES;

export interface RegistryNotice {
  /**
   * `UPLOAD_LOCATION_…`: uploads are offered under http although the registry is spoken to with https, or the other way
   * round, or without the registry's port. `FEATURE_NOT_USED`: an optional feature failed, and another way is taken. `SAVED_UPLOAD_IGNORED`: the journal
   * names an upload at an origin where the registry has none.
   */
  readonly code:
    | 'UPLOAD_LOCATION_HTTP'
    | 'UPLOAD_LOCATION_HTTPS'
    | 'UPLOAD_LOCATION_PORT'
    | 'FEATURE_NOT_USED'
    | 'SAVED_UPLOAD_IGNORED';
  readonly message: string;
}
