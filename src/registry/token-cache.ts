import {SingleFlight} from '../http/single-flight.ts';
import {covers, formatScope, isOpaque, type Scope} from './scope.ts';
import type {RegistryOptions} from './settings.ts';
import type {Token} from './token.ts';
import {fetchToken, type TokenRequest, type TokenService} from './token-service.ts';

/** Tokens are dropped beyond this number, the oldest first: a run may see very many repositories. */
const TOKENS_LIMIT = 1000;

interface Entry {
  readonly token: Token;
  readonly scopes: readonly Scope[];
}

/**
 * The tokens of one registry, one for each set of scopes, fetched once for all who wait for it and renewed before
 * they end.
 */
export class TokenCache {
  readonly #options: RegistryOptions;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #flights = new SingleFlight<Token>();

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** @throws TransshipError as `fetchToken` does */
  async get(wanted: Omit<TokenRequest, 'side' | 'now'>): Promise<Token> {
    const {service, scopes, signal} = wanted;
    const key = keyOf(service, scopes);
    const known = this.#entries.get(key) ?? this.#wider(wanted);
    if (known && known.token.renewAt > this.#now()) return known.token;
    return this.#flights.run(key, signal, async (flightSignal) => {
      const {http, side, learnToken} = this.#options;
      const token = await fetchToken(http, {
        ...wanted,
        side,
        signal: flightSignal,
        now: this.#now,
      });
      learnToken?.(token.value);
      this.#keep(key, {token, scopes});
      return token;
    });
  }

  /** Forgets this token, and not one that has taken its place. */
  invalidate(token: Token): void {
    for (const [key, entry] of this.#entries) {
      if (entry.token === token) this.#entries.delete(key);
    }
  }

  /** A token to push with can pull as well, if it says so. */
  #wider({service, scopes}: Pick<TokenRequest, 'service' | 'scopes'>): Entry | undefined {
    const [scope, ...rest] = scopes;
    if (scope?.actions.join() !== 'pull' || !rest.every(isOpaque)) return undefined;
    const push = {resource: scope.resource, actions: ['pull', 'push']};
    const entry = this.#entries.get(keyOf(service, [push, ...rest]));
    return entry?.token.granted && covers(entry.token.granted, [scope]) ? entry : undefined;
  }

  #keep(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= TOKENS_LIMIT) break;
      this.#entries.delete(oldest);
    }
  }
}

function keyOf({realm, service}: TokenService, scopes: readonly Scope[]): string {
  return [realm, service, ...scopes.map(formatScope)].join(' ');
}
