import {z} from '../model/schema.ts';
import type {HttpAnswer} from '../http/answer.ts';
import {describeRequest} from '../http/message.ts';
import {webPageTitle} from '../http/web-page.ts';
import {TransshipError} from '../model/error.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import {parseJson} from '../model/json.ts';
import {REFUSAL_TEXTS} from './refusal-texts.ts';

/** The bytes of an answer that are read for GitLab's words. */
const BODY_LIMIT = 64 * 1024;
/** GitLab's words in a message, in characters. */
const WORDS_LIMIT = 600;

interface Explanation {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retry?: boolean;
}

/** What single statuses mean for one call, where it is more than in general. */
export interface RefusalContext {
  readonly forbidden?: Explanation;
  readonly notFound?: Explanation;
}

/**
 * Puts an answer that is not what was asked for into an error, with GitLab's own words. Reads the body.
 * The one place where GitLab's statuses and texts are given a meaning.
 */
export async function refusal(
  answer: HttpAnswer,
  context: RefusalContext = {},
): Promise<TransshipError> {
  const {request, status} = answer;
  const {words, isForeign} = await readWords(answer);
  const {code, hint, retry = false} = explain(status, words, isForeign, context);
  const said = words === '' ? '' : `: ${words}`;
  return new TransshipError(code, `${describeRequest(request)}: GitLab answered ${status}${said}`, {
    side: 'gitlab',
    hint,
    retry,
    status,
    retryAfterMs: answer.retryAfterMs,
    exhausted: answer.exhausted,
  });
}

function explain(
  status: number,
  words: string,
  isForeign: boolean,
  context: RefusalContext,
): Explanation {
  const known =
    status >= 400 && status < 500 && REFUSAL_TEXTS.find(({pattern}) => pattern.test(words));
  if (known) return known;
  if (status === 401) {
    return {
      code: 'UNAUTHORIZED',
      hint: 'the token is invalid, expired or revoked; create another',
    };
  }
  if (status === 429) {
    return {
      code: 'RATE_LIMITED',
      hint: 'GitLab limits the rate of requests; run the command again later to resume',
      retry: true,
    };
  }
  if (status === 408 || status >= 500) {
    return {
      code: 'GITLAB_UNAVAILABLE',
      hint: 'GitLab or a proxy in front of it is failing temporarily; run the command again later to resume',
      retry: true,
    };
  }
  if (isForeign || status < 400) {
    return {
      code: 'NOT_GITLAB',
      hint: 'check the address with --gitlab: something else answers there',
    };
  }
  if (status === 403) {
    return (
      context.forbidden ?? {
        code: 'FORBIDDEN',
        hint: 'use a token that has permission for this',
      }
    );
  }
  const fallback: Explanation = {
    code: 'GITLAB_REFUSED',
    hint: 'rejected by GitLab; see its message above',
  };
  return status === 404 ? (context.notFound ?? fallback) : fallback;
}

const bodySchema = z.looseObject({
  message: z.unknown().optional(),
  error: z.unknown().optional(),
  error_description: z.unknown().optional(),
});

/**
 * GitLab's words in one line, whatever they are wrapped in. `isForeign`: they are not GitLab's. Its API says in JSON
 * what is not there (GitLab: lib/api/helpers.rb, `not_found!`); a page or plain text comes from somebody else.
 */
async function readWords(answer: HttpAnswer): Promise<{words: string; isForeign: boolean}> {
  const text = await answer.read(BODY_LIMIT).then(
    ({bytes}) => Buffer.from(bytes).toString().trim(),
    // The status alone has to do where the body breaks.
    () => '',
  );
  const title = await webPageTitle(answer);
  if (title !== undefined) return {words: inOneLine(title), isForeign: true};
  const isForeign = answer.status === 404 && text !== '' && !/^[{["]/.test(text);
  return {words: inOneLine(messageOf(text)), isForeign};
}

function messageOf(text: string): string {
  let json: unknown;
  try {
    json = parseJson(text);
  } catch {
    // Some refusals are plain text, such as `Retry later`.
    return text;
  }
  const body = bodySchema.safeParse(json).data;
  if (!body) return typeof json === 'string' ? json : '';
  return [body.message, body.error, body.error_description].flatMap(flatten).join('; ');
}

/** `{"base": ["…"]}` is `base …`, a list its parts: the forms of errors in Rails. */
function flatten(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(flatten);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    flatten(inner).map((text) => (key === 'base' ? text : `${key} ${text}`)),
  );
}

function inOneLine(text: string): string {
  // Control characters could fool a terminal.
  const line = text.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();
  return line.length <= WORDS_LIMIT ? line : `${line.slice(0, WORDS_LIMIT)}…`;
}
