import type {Call} from '../model/port.ts';
import {DOCKER_HUB} from '../model/reference.ts';
import type {Registry} from '../registry/registry.ts';
import {GITHUB_REGISTRY} from './github.ts';

/** How a host lists its repositories: `catalog` is the registry's own list, the others are APIs of products. */
export const SOURCE_KINDS = [
  'catalog',
  'gitlab',
  'harbor',
  'docker-hub',
  'quay',
  'github',
] as const;

export type SourceKind = (typeof SOURCE_KINDS)[number];

/** The kind of a host, and the address of its GitLab, as far as the registry reports it. */
export interface FoundKind {
  readonly kind: SourceKind;
  /** For GitLab: the URL of the instance according to the registry, `https://gitlab.example.com`. Not verified. */
  readonly gitlab?: string;
}

const BY_HOST: ReadonlyMap<string, SourceKind> = new Map([
  [DOCKER_HUB, 'docker-hub'],
  [GITHUB_REGISTRY, 'github'],
  ['quay.io', 'quay'],
]);

/**
 * The paths of products' token services: GitLab (doc/administration/packages/container_registry.md), Quay (`/v2/auth`).
 */
const BY_REALM: readonly (readonly [RegExp, SourceKind])[] = [
  [/\/jwt\/auth$/, 'gitlab'],
  [/^\/v2\/auth$/, 'quay'],
];
/**
 * The service in the challenge of Harbor (goharbor/harbor: make/photon/prepare/templates/registry/config.yml.jinja).
 */
const HARBOR_SERVICE = 'harbor-registry';

/** Determines the kind of a host from its name, or by one request without credentials. */
export async function findSourceKind(registry: Registry, call: Call): Promise<FoundKind> {
  const byHost = BY_HOST.get(registry.host);
  if (byHost !== undefined) return {kind: byHost};
  for (const {scheme, parameters} of await registry.challenges(call)) {
    const {realm = '', service} = parameters;
    const url = scheme === 'bearer' ? URL.parse(realm) : null;
    if (service === HARBOR_SERVICE) return {kind: 'harbor'};
    const kind = BY_REALM.find(([path]) => url !== null && path.test(url.pathname))?.[1];
    if (kind === 'gitlab' && url !== null)
      return {kind, gitlab: url.origin + url.pathname.replace(/\/jwt\/auth$/, '')};
    if (kind !== undefined) return {kind};
  }
  return {kind: 'catalog'};
}
