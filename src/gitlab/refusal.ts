import type {HttpResponse} from '../http/response.ts';
import {describeRequest} from '../http/request.ts';
import {webPageTitle} from '../http/web-page.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import {cutAt, TransshipError} from '../model/error.ts';
import {parseJson} from '../model/json.ts';
import {z} from '../model/schema.ts';

/** The bytes of an answer that are read for GitLab's words. */
const BODY_LIMIT = 64 * 1024;
/** GitLab's words in a message, in characters. */
const WORDS_LIMIT = 600;

interface RefusalMeaning {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retry?: boolean;
}

/** What single statuses mean for one call, where it is more than in general. */
export interface GitLabRefusalContext {
  readonly forbidden?: RefusalMeaning;
  readonly notFound?: RefusalMeaning;
}

/**
 * Puts an answer that is not what was asked for into an error, with GitLab's own words. Reads the body.
 * The one place where GitLab's statuses and texts are given a meaning.
 */
export async function gitlabRefusal(
  answer: HttpResponse,
  context: GitLabRefusalContext = {},
): Promise<TransshipError> {
  const {request, status} = answer;
  const {words, isForeign} = await readWords(answer);
  // The meaning is at the beginning.
  const known = words.slice(0, WORDS_LIMIT);
  const {code, hint, retry = false} = explain(status, known, isForeign, context);
  const said = words === '' ? '' : `: ${cutAt(answer.redact(words), WORDS_LIMIT)}`;
  return new TransshipError(code, `${describeRequest(request)}: GitLab answered ${status}${said}`, {
    side: 'gitlab',
    hint,
    retry,
    status,
    retryAfterMs: answer.retryAfterMs,
    isPauseAsked: answer.isPauseAsked,
    exhausted: answer.exhausted,
  });
}

function explain(
  status: number,
  words: string,
  isForeign: boolean,
  context: GitLabRefusalContext,
): RefusalMeaning {
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
      hint: 'check the address in --gitlab; the server there is not GitLab',
    };
  }
  if (status === 403) {
    return (
      context.forbidden ?? {
        code: 'FORBIDDEN',
        hint: 'use the token of a user with this permission',
      }
    );
  }
  const fallback: RefusalMeaning = {
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
async function readWords(answer: HttpResponse): Promise<{words: string; isForeign: boolean}> {
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
  return text.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();
}

/** A message of GitLab's, and what it means. */
interface RefusalText extends RefusalMeaning {
  /** Searched for in the response: newer versions wrap the message in a Ruby hash inside a string. */
  readonly pattern: RegExp;
}

const STAGE =
  'use `transship plan transfer --staged`, which moves the images out of the registry and back';
const EMPTY_GROUP =
  'a group moves only when none of its projects has a container repository, not even an empty one; `transship plan transfer` plans for that';

/**
 * The refusals that matter to a transfer, in the wordings of old and new versions. The first that matches counts, so
 * the narrower ones stand first.
 */
const REFUSAL_TEXTS: readonly RefusalText[] = [
  // GitLab: app/services/projects/transfer_service.rb. The old wording has no "image", the oldest no comma.
  {
    pattern:
      /project cannot be transferred(?: to a different top-level namespace)?,? because (?:image )?tags are present in its container registry/i,
    code: 'TRANSFER_TAGS_PRESENT',
    hint: STAGE,
  },
  // GitLab: app/services/projects/update_service.rb and after_rename_service.rb.
  {
    pattern:
      /cannot (?:be )?renamed? (?:project,? )?because (?:it contains container registry tags|images are present)/i,
    code: 'TRANSFER_TAGS_PRESENT',
    hint: STAGE,
  },
  // What the registry answered to the dry run: lib/container_registry/gitlab_api_client.rb.
  {
    pattern:
      /(?:container registry error|path rename validation failed|registry failed with error)[^:]*:? *name taken/i,
    code: 'NAME_TAKEN',
    hint: 'the registry still has images under the new path; delete them, or choose another path',
  },
  {
    pattern:
      /(?:container registry error|path rename validation failed|registry failed with error)/i,
    code: 'REGISTRY_RENAME_UNSUPPORTED',
    hint: `the registry cannot move these images itself; ${STAGE}`,
  },
  // GitLab: app/services/groups/transfer_service.rb and update_service.rb.
  {
    pattern: /there are projects (?:under|in) this group that contain docker images/i,
    code: 'TRANSFER_REPOSITORIES_PRESENT',
    hint: EMPTY_GROUP,
  },
  // GitLab: app/models/concerns/storage/legacy_namespace.rb; the old wording names no project.
  {
    pattern:
      /cannot be moved,? because at least one project(?: \(.*\))? has tags in (?:the )?container registry/i,
    code: 'TRANSFER_TAGS_PRESENT',
    hint: EMPTY_GROUP,
  },
  {
    pattern: /cannot be changed if a personal project has container registry tags/i,
    code: 'TRANSFER_TAGS_PRESENT',
    hint: 'a user name changes only when no personal project has images',
  },
  {
    pattern: /project with same name or path in target namespace already exists/i,
    code: 'NAME_TAKEN',
    hint: 'choose another path with --to, or move the project that uses this one',
  },
  // GitLab: app/validators, config/locales: Rails' own words for a path in use.
  {
    pattern: /has already been taken/i,
    code: 'NAME_TAKEN',
    hint: 'choose another path, or move the project or group that uses this one',
  },
  {
    pattern: /is a reserved name/i,
    code: 'NAME_RESERVED',
    hint: 'choose another path; GitLab reserves this one',
  },
  {
    pattern: /root namespace can't be updated if the project has npm packages/i,
    code: 'TRANSFER_PACKAGES_PRESENT',
    hint: 'delete the npm packages that are scoped to the old top-level group, or stay in it',
  },
  {
    pattern:
      /permission to transfer (?:this project|projects into that namespace)|don't have enough permissions/i,
    code: 'TRANSFER_FORBIDDEN',
    hint: 'use the token of an owner of the project or group who is also a maintainer of the target namespace',
  },
  {
    pattern:
      /(?:deleting|pushing to) protected (?:container )?repository(?: path)? forbidden|cannot delete protected tag/i,
    code: 'PROTECTED',
    hint: 'a protection rule forbids it; change the rule, or use the token of a user that the rule allows',
  },
  {
    pattern: /insufficient_scope|insufficient scope/i,
    code: 'TOKEN_SCOPE_MISSING',
    hint: 'create a token with the `api` scope',
  },
  {
    pattern: /this request has already been made/i,
    code: 'RATE_LIMITED',
    hint: 'GitLab accepts this once an hour for each container repository',
  },
];
