import type {RepositoryPath} from '../model/reference.ts';
import type {Exchange} from './exchange.ts';
import type {Flavour} from './flavour.ts';
import {type Refusal, refusal} from './refusal.ts';
import type {Storage} from './storage.ts';

/** What the routes of the registry work with. */
export interface Registry {
  readonly storage: Storage;
  readonly flavour: Flavour;
}

/** Who asks, as far as a route must know beyond having let them in. */
export interface Caller {
  mayPull(repository: RepositoryPath): boolean;
}

/** What to throw for a method that an endpoint does not have. */
export function methodRefused({method, path}: Exchange): Refusal {
  return refusal(405, 'UNSUPPORTED', `${method} is not supported here`, path);
}
