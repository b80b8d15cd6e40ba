import type {TagLimits} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';

/** The scope of a token: actions on one resource (distribution, docs/spec/auth/scope.md). */
export interface Scope {
  /** `repository:group/project`, `registry:catalog`. */
  readonly resource: string;
  /** Sorted, without duplicates; empty: the resource is a whole scope of another form (`aws`). */
  readonly actions: readonly string[];
  /** For granted scopes: tags that the bearer nevertheless must not change, if the token names any. */
  readonly tagLimits?: TagLimits;
}

export const CATALOG_SCOPE: Scope = {resource: 'registry:catalog', actions: ['*']};

export function pullScope(path: RepositoryPath): Scope {
  return {resource: `repository:${path}`, actions: ['pull']};
}

export function pushScope(path: RepositoryPath): Scope {
  return {resource: `repository:${path}`, actions: ['pull', 'push']};
}

export function deleteScope(path: RepositoryPath): Scope {
  return {resource: `repository:${path}`, actions: ['delete', 'pull']};
}

export function formatScope({resource, actions}: Scope): string {
  return actions.length === 0 ? resource : `${resource}:${actions.join(',')}`;
}

/**
 * Parses a challenge's `scope`: several scopes, separated by spaces. A resource name may contain colons, actions may
 * not. Scopes of another form are opaque and kept unchanged (RFC 6750, section 3: the service defines the meaning of
 * `scope`).
 */
export function parseScopes(text: string | undefined): readonly Scope[] {
  const parts = (text ?? '').split(/\s+/).filter(Boolean);
  return parts.map((part) => {
    const match = /^([a-z][^:]*:.+):([^:]*)$/i.exec(part);
    const actions = match?.[2]?.split(',').filter(Boolean) ?? [];
    return match?.[1] && actions.length > 0 ? {resource: match[1], actions} : opaque(part);
  });
}

/** Whether a scope has an unknown form: it does not name a repository. */
export function isOpaque({actions}: Scope): boolean {
  return actions.length === 0;
}

function opaque(text: string): Scope {
  return {resource: text, actions: []};
}

/** One scope for each resource, sorted, so that equal needs compare equal. */
export function mergeScopes(scopes: readonly Scope[]): readonly Scope[] {
  const actions = new Map<string, Set<string>>();
  for (const scope of scopes) {
    const merged = actions.get(scope.resource) ?? new Set<string>();
    for (const action of scope.actions) merged.add(action);
    actions.set(scope.resource, merged);
  }
  return [...actions]
    .map(([resource, set]) => ({resource, actions: [...set].sort()}))
    .sort((a, b) => (a.resource < b.resource ? -1 : 1));
}

/** Whether `have` includes all of `need`. */
export function covers(have: readonly Scope[], need: readonly Scope[]): boolean {
  return need.every((wanted) => missingActions(have, wanted).length === 0);
}

/** The actions of `wanted` that `have` does not allow. */
export function missingActions(have: readonly Scope[], wanted: Scope): readonly string[] {
  const allowed = have.find(({resource}) => resource === wanted.resource)?.actions ?? [];
  if (allowed.includes('*')) return [];
  return wanted.actions.filter((action) => !allowed.includes(action));
}
