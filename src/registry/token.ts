import {readJson} from '../model/json.ts';
import {list, z} from '../model/schema.ts';
import type {Scope, TagLimits} from './scope.ts';

/** An access token of a token service. */
export interface Token {
  readonly value: string;
  /** When to get a new one, in ms since the epoch. */
  readonly renewAt: number;
  /** What it allows, where the token says so (a JWT with `access`); undefined: not known. */
  readonly granted: readonly Scope[] | undefined;
}

/** Without any word about its life, a token lives this long (distribution, docs/spec/auth/token.md), in ms. */
const DEFAULT_LIFE_MS = 60_000;
/** A token is renewed so long before its end, in ms, or after two thirds of a life shorter than three times that. */
const MARGIN_MS = 60_000;

const answerSchema = z
  .object({
    token: z.string().nullish(),
    access_token: z.string().nullish(),
    expires_in: z.number().positive().nullish().catch(undefined),
  })
  .transform(({token, access_token, expires_in}) => ({
    value: token || access_token || '',
    lifeMs: expires_in ? expires_in * 1000 : undefined,
  }));

const patterns = list(z.string()).nullish();
const metaSchema = z
  .object({
    tag_deny_access_patterns: z.object({push: patterns, delete: patterns}).nullish(),
    tag_immutable_patterns: patterns,
  })
  .transform(
    ({tag_deny_access_patterns: denied, tag_immutable_patterns: fixed}): TagLimits => ({
      push: denied?.push ?? [],
      delete: denied?.delete ?? [],
      immutable: fixed ?? [],
    }),
  );
const claimsSchema = z.object({
  exp: z.number().optional().catch(undefined),
  iat: z.number().optional().catch(undefined),
  access: list(
    z.object({
      type: z.string(),
      name: z.string(),
      actions: list(z.string()).nullable(),
      meta: metaSchema.nullish().catch(undefined),
    }),
  )
    .nullish()
    .catch(undefined),
});

/**
 * Reads a token service's answer; undefined: there is no token in it. Times are counted from its arrival, so that the
 * clocks of the service and of this machine need not agree.
 * @param now ms since the epoch
 */
export function parseToken(answer: unknown, now: number): Token | undefined {
  const parsed = answerSchema.safeParse(answer);
  // It goes into a header: a line break would begin another one.
  if (!parsed.success || !/^[\x21-\x7e]+$/.test(parsed.data.value)) return undefined;
  const {value, lifeMs: announced} = parsed.data;
  const claims = readClaims(value);
  const {exp, iat} = claims ?? {};
  const claimed =
    exp === undefined ? undefined : exp * 1000 - (iat === undefined ? now : iat * 1000);
  const lifeMs = Math.max(0, announced ?? claimed ?? DEFAULT_LIFE_MS);
  const granted = claims?.access?.map(({type, name, actions, meta}) => ({
    resource: `${type}:${name}`,
    actions: actions ?? [],
    ...(meta ? {tagLimits: meta} : {}),
  }));
  return {value, renewAt: now + lifeMs - Math.min(MARGIN_MS, lifeMs / 3), granted};
}

/** The claims of a JWT, not verified: they are for planning only, the registry decides. */
function readClaims(token: string): z.infer<typeof claimsSchema> | undefined {
  const [, payload, signature] = token.split('.');
  if (payload === undefined || signature === undefined) return undefined;
  return readJson(Buffer.from(payload, 'base64url'), claimsSchema);
}
