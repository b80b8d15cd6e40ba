import {randomUUID, sign, verify} from 'node:crypto';
import {z} from '../model/schema.ts';
import {parseJson} from '../model/json.ts';
import type {Access} from './access.ts';
import type {SigningKey} from './signing-key.ts';

/** What a token says besides its times (distribution, docs/spec/auth/jwt.md). */
export interface TokenClaims {
  readonly issuer: string;
  readonly service: string;
  readonly subject: string;
  readonly access: readonly Access[];
}

const payloadSchema = z.object({
  iss: z.string(),
  aud: z.string(),
  sub: z.string(),
  nbf: z.number(),
  exp: z.number(),
  access: z.array(
    z.object({
      type: z.enum(['repository', 'registry']),
      name: z.string(),
      actions: z.array(z.enum(['pull', 'push', 'delete', '*'])),
    }),
  ),
});

/** Signatures of JWS are the two numbers side by side, not DER (RFC 7518, 3.4). */
const ENCODING = {dsaEncoding: 'ieee-p1363'} as const;

/** GitLab dates a token a little back, for registries whose clock is behind (JSONWebToken::Token). */
const NOT_BEFORE_SECONDS = 5;

/**
 * @param now in ms
 * @returns a JWT signed with ES256
 */
export function signToken(
  {issuer, service, subject, access}: TokenClaims,
  lifeSeconds: number,
  key: SigningKey,
  now: number,
): string {
  const iat = Math.floor(now / 1000);
  const times = {iat, nbf: iat - NOT_BEFORE_SECONDS, exp: iat + lifeSeconds};
  const claims = {iss: issuer, aud: service, sub: subject, jti: randomUUID(), access};
  const signed = `${encode({typ: 'JWT', alg: 'ES256', kid: key.id})}.${encode({...claims, ...times})}`;
  const signature = sign('sha256', Buffer.from(signed), {key: key.privateKey, ...ENCODING});
  return `${signed}.${signature.toString('base64url')}`;
}

/**
 * Reads a token of ours. Its header is not looked at: there is one key and one algorithm.
 * @param leewaySeconds how far the clocks may differ
 * @param now in ms
 * @returns undefined for a token that is not valid, or not any more
 */
export function verifyToken(
  token: string,
  key: SigningKey,
  leewaySeconds: number,
  now: number,
): TokenClaims | undefined {
  const [header, payload, signature, ...more] = token.split('.');
  if (header === undefined || payload === undefined || signature === undefined || more.length > 0)
    return undefined;
  const signed = Buffer.from(`${header}.${payload}`);
  const bytes = Buffer.from(signature, 'base64url');
  if (!verify('sha256', signed, {key: key.publicKey, ...ENCODING}, bytes)) return undefined;
  const claims = payloadSchema.parse(parseJson(Buffer.from(payload, 'base64url')));
  const seconds = now / 1000;
  if (seconds >= claims.exp + leewaySeconds || seconds < claims.nbf - leewaySeconds)
    return undefined;
  const {iss: issuer, aud: service, sub: subject, access} = claims;
  return {issuer, service, subject, access};
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
