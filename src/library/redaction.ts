import type {Redactor} from '../http/redaction.ts';
import {DIGEST_PATTERN} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {RunEvent} from '../model/event.ts';
import type {Plan} from '../model/plan.ts';
import {planId} from '../plan/plan-file.ts';

/** Fields of plans, events and results that are written for people and may quote what a server said. */
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
  let clean = true;
  const look = (): void => {
    clean &&= redactor.isClean(texts);
    texts = '';
  };
  const walk = (value: unknown): void => {
    if (typeof value === 'string') {
      if (DIGEST_PATTERN.test(value)) return;
      texts += `${value}\n`;
      if (texts.length >= LOOK_THROUGH) look();
    } else if (typeof value === 'object' && value !== null) {
      for (const item of Array.isArray(value) ? value : Object.values(value)) walk(item);
    }
  };
  walk(plan);
  look();
  return clean;
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

/** An event or a result with the secrets in its texts blanked; the very same where there are none. */
export function redactTexts<T>(value: T, redactor: Redactor): T {
  const redact = (key: string, text: string): string =>
    WORDS.has(key) ? redactor.redact(text) : text;
  return redactedValue(value, redact) as T;
}

/** The same for an event. Most have no texts: they come many times a second. */
export function redactEvent(event: RunEvent, redactor: Redactor): RunEvent {
  return 'message' in event || 'error' in event ? redactTexts(event, redactor) : event;
}

/** Causes that are looked at. */
const DEPTH = 16;

/**
 * Blanks secrets in the texts of an error and of its causes: whoever logs it prints their stacks as well.
 * @returns the error itself
 */
export function redactError(thrown: unknown, redactor: Redactor): unknown {
  let error = thrown;
  for (let depth = 0; error instanceof Error && depth < DEPTH; error = error.cause, depth += 1) {
    for (const name of ['message', 'stack', 'hint'] as const) {
      const text: unknown = Reflect.get(error, name);
      if (typeof text === 'string' && !redactor.isClean(text))
        Reflect.set(error, name, redactor.redact(text));
    }
  }
  return thrown;
}
