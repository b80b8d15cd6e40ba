import {isDigest} from '../../model/digest.ts';
import {isRepositoryPath} from '../../model/reference.ts';
import {answerRegistry} from '../answer-registry.ts';
import type {Exchange} from '../exchange.ts';
import {GITLAB_FLAVOUR} from '../flavour.ts';
import {tokenGuard} from '../guard.ts';
import type {Caller} from '../registry.ts';
import {refusal} from '../refusal.ts';
import type {Reply} from '../reply.ts';
import {answerGitLabV1} from './gitlab-v1.ts';
import type {Instance} from './instance.ts';
import {checkManifest, requireDeletable, requireUnlimited} from './push-rules.ts';
import type {RegistryTokens} from './registry-tokens.ts';
import {recordWrite} from './record-write.ts';

/** The version that the registry says to have. */
const VERSION = '4.32.0-gitlab';

/** GitLab's registry: distribution's API with what GitLab's fork adds, forbids and tells. */
export class RegistryFront {
  readonly #instance: Instance;
  readonly #tokens: RegistryTokens;
  readonly #guard: (exchange: Exchange) => Caller;

  constructor(instance: Instance, tokens: RegistryTokens) {
    this.#instance = instance;
    this.#tokens = tokens;
    const guard = tokenGuard(tokens);
    // Tokens are had from GitLab, wherever its registry is.
    this.#guard = (exchange) => guard({...exchange, origin: `http://${instance.hosts.gitlab}`});
  }

  /** @throws Refusal */
  async answer(exchange: Exchange): Promise<Reply> {
    const {mode} = this.#instance;
    if (exchange.path.startsWith('/gitlab/v1')) return this.#answerGitLabV1(exchange);
    const caller = this.#guard(exchange);
    const flavour = {
      ...GITLAB_FLAVOUR,
      // Without the database the whole list is sent, whatever `n` says (GitLab container registry: handlers/tags.go).
      ...(mode === 'legacy' ? {tagPageLimit: undefined} : {}),
    };
    const registry = {storage: this.#instance.storage, flavour};
    if (exchange.route.kind === 'base') {
      const reply = await answerRegistry(registry, exchange, caller);
      return {...reply, headers: {...reply.headers, ...capabilities(this.#instance)}};
    }
    await this.#checkWrite(exchange);
    const seen = mode === 'legacy' && exchange.route.kind === 'tags' ? unpaged(exchange) : exchange;
    return recordWrite(this.#instance, exchange, this.#subject(exchange), () =>
      answerRegistry(registry, seen, caller),
    );
  }

  async #answerGitLabV1(exchange: Exchange): Promise<Reply> {
    const [, path] = /^\/gitlab\/v1\/repositories\/(.+?)\/(?:tags\/|$)/.exec(exchange.path) ?? [];
    const repository = path !== undefined && isRepositoryPath(path) ? path : undefined;
    // The guard reads from the route what is needed.
    const route = repository === undefined ? exchange.route : {kind: 'tags' as const, repository};
    this.#guard({...exchange, route});
    if (this.#instance.mode === 'legacy') throw refusal(404, 'UNKNOWN', '404 page not found');
    return answerGitLabV1(this.#instance, exchange, repository);
  }

  async #checkWrite(exchange: Exchange): Promise<void> {
    const {method, route} = exchange;
    if (method === 'GET' || method === 'HEAD') return;
    // GitLab container registry: registry/handlers/app.go, `readOnly` leaves no route for writes.
    if (this.#instance.switches.readOnly)
      throw refusal(405, 'UNSUPPORTED', 'The operation is unsupported.');
    if (route.kind !== 'manifest') return;
    const limits = this.#tokens.limits(tokenOf(exchange), route.repository);
    await requireUnlimited(this.#instance, limits, method, route);
    if (method === 'PUT') await checkManifest(this.#instance, exchange, route);
    if (method === 'DELETE' && isDigest(route.reference))
      await requireDeletable(this.#instance, route.repository, route.reference);
  }

  #subject(exchange: Exchange): string {
    return this.#tokens.verify(tokenOf(exchange))?.subject ?? '';
  }
}

/** Shown to those who are let in (GitLab container registry: registry/handlers/app.go, `apiBase`). */
function capabilities({mode}: Instance): Reply['headers'] {
  return {
    'gitlab-container-registry-version': VERSION,
    'gitlab-container-registry-features': 'tag_delete',
    'gitlab-container-registry-database-enabled': String(mode === 'metadata-db'),
  };
}

function unpaged(exchange: Exchange): Exchange {
  return {...exchange, query: new URLSearchParams()};
}

function tokenOf({headers}: Exchange): string {
  return headers.authorization?.split(/ +/)[1] ?? '';
}
