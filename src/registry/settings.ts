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
  /** Told, once for each code, what is odd and was put right. */
  readonly notice?: (notice: RegistryNotice) => void;
  /** ms since the epoch, for the expiry of tokens. Default: `Date.now`. */
  readonly now?: () => number;
}

export interface RegistryNotice {
  /** Uploads are offered under http although the registry is spoken to with https, or the other way round. */
  readonly code: 'UPLOAD_LOCATION_HTTP' | 'UPLOAD_LOCATION_HTTPS';
  readonly message: string;
}
