import {isRepositoryPath} from '../model/reference.ts';
import type {Exchange} from './exchange.ts';

/** What may be done with a repository; `*` is everything. */
export type Action = 'pull' | 'push' | 'delete' | '*';

/** Something that a token allows (distribution, docs/spec/auth/jwt.md, `access`). */
export interface Access {
  readonly type: 'repository' | 'registry';
  readonly name: string;
  readonly actions: readonly Action[];
}

const ACTIONS: readonly string[] = ['pull', 'push', 'delete', '*'] satisfies readonly Action[];

/** What a request needs, as distribution asks for it (registry/handlers/app.go, `appendAccessRecords`). */
export function accessFor({route, method, query}: Exchange): readonly Access[] {
  if (route.kind === 'catalog') return [{type: 'registry', name: 'catalog', actions: ['*']}];
  if (!('repository' in route)) return [];
  const needed = {type: 'repository', name: route.repository, actions: actionsOf(method)} as const;
  const from = route.kind === 'uploads' && query.has('mount') ? query.get('from') : null;
  if (from === null || !isRepositoryPath(from)) return [needed];
  return [needed, {type: 'repository', name: from, actions: ['pull']}];
}

/** `repository:group/app:pull,push`, several joined by a space. */
export function formatScope(accesses: readonly Access[]): string {
  return accesses.map(({type, name, actions}) => `${type}:${name}:${actions.join(',')}`).join(' ');
}

/** Reads scopes, each perhaps several of them; those that cannot be are dropped. The path may hold a colon. */
export function parseScopes(scopes: readonly string[]): readonly Access[] {
  return scopes.flatMap((scope) => scope.split(' ')).flatMap((scope) => parseScope(scope) ?? []);
}

/** Whether all of `needed` is among what was granted. */
export function covers(granted: readonly Access[], needed: readonly Access[]): boolean {
  return needed.every(({type, name, actions}) =>
    actions.every((action) =>
      granted.some(
        (access) =>
          access.type === type &&
          access.name === name &&
          (access.actions.includes(action) || access.actions.includes('*')),
      ),
    ),
  );
}

function parseScope(scope: string): Access | undefined {
  const [, type, name, actions] =
    /^(repository|registry)(?:\([a-z]+\))?:(.+):([a-z*,]*)$/.exec(scope) ?? [];
  if (name === undefined || actions === undefined) return undefined;
  if (type === 'registry') return {type, name, actions: parseActions(actions)};
  return isRepositoryPath(name)
    ? {type: 'repository', name, actions: parseActions(actions)}
    : undefined;
}

function parseActions(text: string): readonly Action[] {
  return text.split(',').filter((action): action is Action => ACTIONS.includes(action));
}

function actionsOf(method: string): readonly Action[] {
  switch (method) {
    case 'GET':
    case 'HEAD':
      return ['pull'];
    case 'DELETE':
      return ['delete'];
    default:
      return ['pull', 'push'];
  }
}
