import type {HttpResponse} from '../http/response.ts';
import {describeRequest} from '../http/request.ts';
import {TransshipError} from '../model/error.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import {type ErrorBody, readErrors} from './error-body.ts';

/** The meaning of a response that its status does not show. */
export interface RegistryRefusalContext {
  /** The response is from the token service, not the registry: it may contain a token, which must not be quoted. */
  readonly ofTokenService?: boolean;
  /** The meaning of a 404 without a specific code. Default: NOT_A_REGISTRY. */
  readonly notFound?: ErrorCode;
  /** A 500 is permanent: docker-registry sends it for manifests that it refuses. */
  readonly refusedAt500?: boolean;
  /**
   * The response to a PUT of a manifest, in which an unknown object is a part of it. Codes differ between registries.
   */
  readonly putsManifest?: boolean;
}

interface RefusalMeaning {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retry?: boolean;
}

const BY_CODE: ReadonlyMap<string, RefusalMeaning> = new Map(
  Object.entries<RefusalMeaning>({
    PROTECTED_TAG: protectedBy(
      'a tag protection rule forbids it; change the rule, or leave the tag out',
    ),
    IMMUTABLE_TAG: protectedBy('the tag is immutable; change the rule, or leave the tag out'),
    PROTECTED_MANIFEST: protectedBy(
      'a protected tag uses this manifest; change the rule, or keep it',
    ),
    NAME_UNKNOWN: {code: 'REPOSITORY_NOT_FOUND', hint: 'check the name of the repository'},
    MANIFEST_UNKNOWN: {code: 'MANIFEST_NOT_FOUND', hint: 'check the tag or digest'},
    BLOB_UNKNOWN: {
      code: 'BLOB_NOT_FOUND',
      hint: 'the registry has lost this blob; push the image again',
    },
    MANIFEST_BLOB_UNKNOWN: partsMissing(),
    BLOB_UPLOAD_UNKNOWN: uploadLost(),
    BLOB_UPLOAD_INVALID: uploadLost(),
    DIGEST_INVALID: {
      code: 'BLOB_DIGEST_MISMATCH',
      hint: 'the received bytes have a different digest; try again, and check the source if this happens again',
      retry: true,
    },
    SIZE_INVALID: {
      code: 'BLOB_SIZE_MISMATCH',
      hint: 'the received bytes have a different length; try again',
      retry: true,
    },
    RENAME_IN_PROGRESS: {
      code: 'REGISTRY_UNAVAILABLE',
      hint: 'the repository is being renamed; wait a few seconds',
      retry: true,
    },
    TOOMANYREQUESTS: rateLimited(),
    UNSUPPORTED: unsupported(),
  }),
);

/** Codes that are more specific than their status, whatever it is. */
const STRONG_CODES = new Set([
  'PROTECTED_TAG',
  'IMMUTABLE_TAG',
  'PROTECTED_MANIFEST',
  'TOOMANYREQUESTS',
]);

/**
 * Converts an error response to an error, with the registry's message. Reads the body. The only place that interprets
 * statuses and codes of registries.
 */
export async function registryRefusal(
  response: HttpResponse,
  context: RegistryRefusalContext = {},
): Promise<TransshipError> {
  const {request, status} = response;
  const body = await readErrors(response);
  const {code, hint, retry = false} = explain(response, body, context);
  const who = context.ofTokenService === true ? 'the token service ' : '';
  const quote = context.ofTokenService === true ? body.codes : body.words;
  const words = quote === '' ? '' : `: ${quote}`;
  return new TransshipError(code, `${describeRequest(request)}: ${who}answered ${status}${words}`, {
    side: request.side,
    hint,
    retry,
    status,
    retryAfterMs: response.retryAfterMs,
    isPauseAsked: response.isPauseAsked,
    exhausted: response.exhausted,
  });
}

/** The codes of an error response. `registryRefusal` can still read the body. */
export async function errorCodes(response: HttpResponse): Promise<readonly string[]> {
  const {errors} = await readErrors(response);
  return errors.map(({code}) => code);
}

/** Whether a 401 is about a protected object and not about the client's identity (GitLab's registry). */
export function isProtection(codes: readonly string[]): boolean {
  return codes.some((code) => BY_CODE.get(code)?.code === 'PROTECTED');
}

function explain(
  response: HttpResponse,
  body: ErrorBody,
  context: RegistryRefusalContext,
): RefusalMeaning {
  const {status} = response;
  const known = body.errors.find(({code}) => BY_CODE.has(code))?.code ?? '';
  const byCode = BY_CODE.get(known);
  if (byCode && STRONG_CODES.has(known)) return byCode;
  if (status === 401) return unauthorized(response);
  // GitLab's token service answers 403 to unknown users for everything that is not public.
  const isStranger =
    context.ofTokenService === true && response.request.authorization === undefined;
  if (status === 403) return isStranger ? unauthorized(response) : forbidden(body);
  if (status === 405) return unsupported();
  if (status === 413) {
    return {
      code: 'PAYLOAD_TOO_LARGE',
      hint: 'the registry or a proxy in front of it limits the size of requests; send smaller chunks with --chunk-size',
    };
  }
  if (status === 416) {
    return {
      code: 'UPLOAD_OFFSET_REFUSED',
      hint: 'upload offset mismatch; query the offset and resume',
      retry: true,
    };
  }
  if (status === 429) return rateLimited();
  if (status === 500 && context.refusedAt500) return refused();
  if (status === 408 || status >= 500) {
    return {
      code: 'REGISTRY_UNAVAILABLE',
      hint: 'the registry or a proxy in front of it is failing temporarily; run the command again later to resume',
      retry: true,
    };
  }
  // docker-registry adds DIGEST_INVALID where another PUT is writing a part's link (registry/storage,
  // `verifyManifest`).
  const missesPart = body.errors.some(({code}) => code === 'MANIFEST_BLOB_UNKNOWN');
  const isUnknown = missesPart || known === 'BLOB_UNKNOWN' || known === 'MANIFEST_UNKNOWN';
  if (context.putsManifest && isUnknown) {
    return partsMissing();
  }
  if (byCode) return byCode;
  if (body.isHtml || status < 400) {
    return {code: 'NOT_A_REGISTRY', hint: 'check host and port: this server is not a registry'};
  }
  if (status === 404) {
    return {code: context.notFound ?? 'NOT_A_REGISTRY', hint: 'check the name, and host and port'};
  }
  return refused();
}

function partsMissing(): RefusalMeaning {
  return {
    code: 'MANIFEST_PARTS_MISSING',
    hint: 'the repository lacks something that the manifest refers to; push that first',
  };
}

function forbidden(body: ErrorBody): RefusalMeaning {
  return {
    code: 'FORBIDDEN',
    hint:
      body.words === ''
        ? 'an empty 403 often comes from the storage behind the registry: its administrator should check the permissions there'
        : 'use credentials with this permission',
  };
}

/**
 * A registry also answers 401 to a valid login without permission: the token service grants fewer actions than
 * requested, and does not reveal whether the repository exists (distribution, docs/spec/auth/token.md).
 */
function unauthorized(response: HttpResponse): RefusalMeaning {
  const {authorization, tokenOf} = response.request;
  if (authorization === undefined || tokenOf === 'anybody') {
    return {
      code: 'UNAUTHORIZED',
      hint: 'log in with docker login, or name a file with --authfile; without a login the registry gives no access to this repository, if it exists',
    };
  }
  const challenge = response.header('www-authenticate') ?? '';
  if (tokenOf === 'login' && !/\berror="?invalid_token/i.test(challenge)) {
    const isGitLab = challenge.includes('/jwt/auth');
    return {
      code: 'FORBIDDEN',
      hint: isGitLab
        ? 'the login is valid, but GitLab does not grant it this access to this path: check that the project exists, that its container registry is enabled, and that the account has the role for it; images belong to a project, not to a group, and have at most two more parts in their path'
        : 'the login is valid, but does not have this access to the repository: check the name, and that the account has the permission',
    };
  }
  return {
    code: 'UNAUTHORIZED',
    hint: 'the registry rejects the credentials; log in again with docker login, or use others',
  };
}

function refused(): RefusalMeaning {
  return {code: 'REGISTRY_REFUSED', hint: 'rejected by the registry; see its message above'};
}

function unsupported(): RefusalMeaning {
  return {
    code: 'UNSUPPORTED_BY_REGISTRY',
    hint: 'the registry is read-only or does not support this; ask its administrator',
  };
}

function rateLimited(): RefusalMeaning {
  return {
    code: 'RATE_LIMITED',
    hint: 'the registry limits the rate of requests; log in for a higher limit, or run the command again later to resume',
    retry: true,
  };
}

function protectedBy(hint: string): RefusalMeaning {
  return {code: 'PROTECTED', hint};
}

function uploadLost(): RefusalMeaning {
  return {
    code: 'UPLOAD_LOST',
    hint: 'run the command again; if uploads are lost again and again, the registry runs as several replicas that do not share http.secret or their storage, or a load balancer spreads one upload over them: ask its administrator',
    retry: true,
  };
}
