import {parseJson} from '../../model/json.ts';
import {z} from '../../model/schema.ts';
import {type Access, type Action, parseBasic, parseScopes} from '../auth.ts';
import {type Exchange, jsonReply, refusal, type Reply} from '../exchange.ts';
import {type TokenClaims, TokenSigner} from '../tokens.ts';
import {signIn} from './account.ts';
import type {Instance} from './instance.ts';
import {levelInProject, matchesPath, type Person, registryRights, rulesAbove} from './rights.ts';
import type {WorldProject} from './world.ts';

/** How long an expired token is accepted (GitLab container registry: registry/auth/token, `Leeway`). */
const LEEWAY_SECONDS = 60;

/** The restrictions for tags of a repository in a token (GitLab: `access[].meta`). */
export interface TagLimits {
  readonly push: readonly string[];
  readonly delete: readonly string[];
  readonly immutable: readonly string[];
}

const patterns = z.array(z.string()).default([]);
const limitsSchema = z.object({
  access: z.array(
    z.object({
      name: z.string(),
      meta: z
        .object({
          tag_deny_access_patterns: z.object({push: patterns, delete: patterns}).optional(),
          tag_immutable_patterns: patterns,
        })
        .optional(),
    }),
  ),
});

/** GitLab's token service, `/jwt/auth`. Permissions follow from projects, roles and scopes. */
export class RegistryTokens {
  readonly service = 'container_registry';
  readonly #issuer = 'gitlab-issuer';
  readonly #signer: TokenSigner;
  readonly #instance: Instance;
  readonly #lifeSeconds: number;

  constructor(instance: Instance, lifeSeconds: number) {
    this.#signer = new TokenSigner(LEEWAY_SECONDS, () => instance.clock());
    this.#instance = instance;
    this.#lifeSeconds = lifeSeconds;
  }

  /**
   * Issues a token. Actions that are not allowed are left out without an error, and so are paths that are invalid, too
   * deep, or in no project (GitLab: app/controllers/jwt_controller.rb,
   * app/services/auth/container_registry_authentication_service.rb).
   * @throws Refusal UNAUTHORIZED, DENIED
   */
  async answer({method, query, headers}: Exchange): Promise<Reply> {
    if (method !== 'GET') throw refusal(404, 'UNKNOWN', 'not found');
    if (query.get('service') !== this.service) throw refusal(404, 'UNKNOWN', 'unknown service');
    const person = this.#authenticate(headers.authorization);
    // GitLab converts the requested image paths to lower case.
    const scopes = query.getAll('scope').map((scope) => scope.toLowerCase());
    const access = parseScopes(scopes).flatMap((wanted) => this.#grant(person, wanted) ?? []);
    if (!person && access.length === 0) throw refusal(403, 'DENIED', 'access forbidden');
    const subject = person?.user.username ?? '';
    const claims = {issuer: this.#issuer, service: this.service, subject, access};
    return jsonReply(200, {token: this.#signer.sign(claims, this.#lifeSeconds)});
  }

  /** The claims of a token; undefined: it is invalid or expired. */
  verify(token: string): TokenClaims | undefined {
    return this.#signer.verify(token);
  }

  /** The restrictions for tags in a token that was verified. */
  limits(token: string, repository: string): TagLimits {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
    const {access} = limitsSchema.parse(parseJson(payload));
    const meta = access.find(({name}) => name === repository)?.meta;
    const {push = [], delete: remove = []} = meta?.tag_deny_access_patterns ?? {};
    return {push, delete: remove, immutable: meta?.tag_immutable_patterns ?? []};
  }

  #authenticate(header: string | undefined): Person | undefined {
    if (header === undefined) return undefined;
    const {world, clock} = this.#instance;
    const credentials = parseBasic(header);
    const person = credentials && signIn(world, credentials, clock());
    if (person) return person;
    const message =
      'HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect or you are required to use a token instead of a password.';
    throw refusal(401, 'UNAUTHORIZED', message);
  }

  #grant(person: Person | undefined, {type, name, actions}: Access): Access | undefined {
    const {world, clock} = this.#instance;
    if (type === 'registry') {
      const isGranted = name === 'catalog' && person?.user.admin;
      return isGranted ? {type, name, actions} : undefined;
    }
    const owner = world.ownerOf(name);
    if (!owner) return undefined;
    const {project} = owner;
    const rights = registryRights(world, person, project);
    const granted = actions.filter((action) => rights.has(action));
    if (granted.length === 0) return undefined;
    const level = person ? levelInProject(world, person.user, project) : 0;
    if (granted.includes('push')) {
      requireUnprotected(project, name, level);
      // A request for push alone creates the record, which blocks the transfer of a group.
      world.recordOf(project, owner.name, clock());
    }
    return withMeta({type, name, actions: granted}, project, level);
  }
}

/** @throws Refusal DENIED */
function requireUnprotected(project: WorldProject, name: string, level: number): void {
  const rules = rulesAbove(project.repositoryRules, 'push', level);
  if (rules.some(({pattern}) => matchesPath(pattern, name)))
    throw refusal(403, 'DENIED', 'Pushing to protected repository path forbidden');
}

function withMeta(access: Access, {tagRules, id}: WorldProject, level: number): Access {
  const denied = (action: Extract<Action, 'push' | 'delete'>) =>
    rulesAbove(tagRules, action, level).map(({pattern}) => pattern);
  const immutable = tagRules.filter((rule) => rule.push === undefined && rule.delete === undefined);
  const meta = {
    project_id: id,
    tag_deny_access_patterns: {push: denied('push'), delete: denied('delete')},
    tag_immutable_patterns: immutable.map(({pattern}) => pattern),
  };
  const limited: Access & {readonly meta: object} = {...access, meta};
  return limited;
}
