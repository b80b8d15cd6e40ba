import type {HttpClient} from '../http/client.ts';
import type {Credentials} from '../registry/credentials/credentials.ts';

/** What the lists of products are opened with. */
export interface ListerOptions {
  /** `host[:port]` of references. */
  readonly host: string;
  /** The URL below which the registry's own API is. */
  readonly baseUrl: URL;
  readonly http: HttpClient;
  /** The user's login for `host`; undefined: none. */
  readonly credentials: () => Promise<Credentials | undefined>;
  /** Told each access token, so that it can be kept out of messages. */
  readonly learnToken: (token: string) => void;
}
