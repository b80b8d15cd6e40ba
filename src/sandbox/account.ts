import {createHash, timingSafeEqual} from 'node:crypto';
import picomatch from 'picomatch';
import type {Access, Action} from './access.ts';

/** What somebody may do with the repositories that match. */
export interface Grant {
  /** A glob: `group/*`, `group/**`. The catalog counts as a repository called `catalog`, and takes the action `*`. */
  readonly repository: string;
  readonly actions: readonly Action[];
}

export interface User {
  readonly name: string;
  readonly password: string;
  readonly grants: readonly Grant[];
}

export interface Credentials {
  readonly name: string;
  readonly password: string;
}

/** What a Basic header says (RFC 7617); undefined: there is none, or it is not well-formed. */
export function parseBasic(header: string | undefined): Credentials | undefined {
  const [, encoded] = /^basic +([a-z0-9+/]+=*)$/i.exec(header ?? '') ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : {name: text.slice(0, colon), password: text.slice(colon + 1)};
}

/** The user with this name and password. */
export function findUser(users: readonly User[], {name, password}: Credentials): User | undefined {
  const user = users.find((candidate) => candidate.name === name);
  return user && sameSecret(user.password, password) ? user : undefined;
}

/** Of the actions asked for those that the grants allow; the others are dropped without a word. */
export function allowed(grants: readonly Grant[], {type, name, actions}: Access): Action[] {
  if (type === 'repository') return actions.filter((action) => permits(grants, name, action));
  return name === 'catalog' ? actions.filter((action) => permits(grants, name, action)) : [];
}

function permits(grants: readonly Grant[], name: string, action: Action): boolean {
  return grants.some(
    (grant) =>
      (grant.actions.includes('*') || grant.actions.includes(action)) &&
      picomatch.isMatch(name, grant.repository),
  );
}

function sameSecret(expected: string, given: string): boolean {
  return timingSafeEqual(sha256(expected), sha256(given));
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
