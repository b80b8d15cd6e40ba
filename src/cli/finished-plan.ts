import type {Redactor} from '../http/secrets.ts';
import {DIGEST_PATTERN} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Plan} from '../model/plan.ts';
import {planId} from '../plan/plan-id.ts';
import type {Io} from './io.ts';
import {rememberPlan} from './own-plans.ts';
import {signedPlan} from './plan-review.ts';

/** Flags of what makes a plan file. */
export interface FinishFlags {
  readonly out?: string;
  readonly format: string;
  readonly signKey?: string;
}

/**
 * The plan as it may leave the process: without secrets, signed where a flag says so, and remembered as made here.
 * @throws TransshipError RESPONSE_INVALID, FILE_UNREADABLE, FILE_INVALID
 */
export async function finishedPlan<T extends Plan>(
  plan: T,
  {out, format, signKey}: FinishFlags,
  io: Io,
): Promise<T> {
  const redacted = redactedPlan(plan, io.redactor);
  if (out !== undefined || format === 'json') await rememberPlan(redacted.id, io);
  return signKey === undefined ? redacted : await signedPlan(redacted, signKey);
}

/** Fields of a plan that are written for people and may quote what a server said. */
const WORDS = new Set(['why', 'detail', 'message', 'hint']);
/** Names are compared with secrets of this many characters or more: a shorter password may well be a part of a name. */
const SHORTEST = 8;

/**
 * The plan as it may be written to a file: secrets in texts are blanked, and the id is that of what is left. A name
 * (of a tag, a repository, a media type) cannot be blanked; the user's own words in the wish are no secrets.
 * @throws TransshipError RESPONSE_INVALID where a server gave a secret back as a name
 */
export function redactedPlan<T extends Plan>(plan: T, redactor: Redactor): T {
  if (isClean(plan, redactor)) return plan;
  const wish = JSON.stringify(plan.wish);
  const isSecret = (secret: string): boolean =>
    secret.length >= SHORTEST && !wish.includes(JSON.stringify(secret).slice(1, -1));
  const redact = (key: string, value: string): string => {
    if (WORDS.has(key)) return redactor.redact(value);
    if (!DIGEST_PATTERN.test(value) && redactor.secretsIn(value).some(isSecret))
      throw secretAsName(redactor.redact(value));
    return value;
  };
  const redacted = redactedValue(plan, redact) as T;
  return {...redacted, id: planId(redacted)};
}

/** Characters that are looked through at once. */
const LOOK_THROUGH = 64 * 1024;

function isClean(plan: Plan, redactor: Redactor): boolean {
  let texts = '';
  for (const text of textsIn(plan)) {
    if (DIGEST_PATTERN.test(text)) continue;
    texts += `${text}\n`;
    if (texts.length < LOOK_THROUGH) continue;
    if (!redactor.isClean(texts)) return false;
    texts = '';
  }
  return redactor.isClean(texts);
}

function* textsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (Array.isArray(value)) for (const item of value) yield* textsIn(item);
  else if (typeof value === 'object' && value !== null) yield* textsIn(Object.values(value));
}

/** All texts of a value, with the names of the fields that they are in, through `redact`. */
function redactedValue(
  value: unknown,
  redact: (key: string, text: string) => string,
  key = '',
): unknown {
  if (typeof value === 'string') return redact(key, value);
  if (Array.isArray(value)) return value.map((item: unknown) => redactedValue(item, redact, key));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, redactedValue(item, redact, name)]),
  );
}

function secretAsName(name: string): TransshipError {
  return new TransshipError(
    'RESPONSE_INVALID',
    `a server returned the name "${name}", which contains a secret that was sent to it`,
    {
      side: 'source',
      hint: 'do not trust the server with this login: change the password or revoke the token',
    },
  );
}
