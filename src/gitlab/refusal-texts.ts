import type {ErrorCode} from '../model/error-codes.ts';

/** A sentence of GitLab's, and what it means to us. */
export interface RefusalText {
  /** Looked for in the answer's words: newer versions wrap the sentence in a Ruby hash inside of a string. */
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly hint: string;
}

const STAGE =
  'move the images with `transship plan transfer --staged`: it takes them out, and puts them back';
const EMPTY_GROUP =
  'a group moves only when none of its projects has a container repository, not even an empty one; `transship plan transfer` plans for that';

/**
 * The refusals that matter to a transfer, in the wordings of old and new versions. The first that matches counts, so
 * the narrower ones stand first.
 */
export const REFUSAL_TEXTS: readonly RefusalText[] = [
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
    hint: `the registry does not move these images by itself; ${STAGE}`,
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
    hint: 'choose another path with --to, or move the project that has this one',
  },
  // GitLab: app/validators, config/locales: Rails' own words for a path in use.
  {
    pattern: /has already been taken/i,
    code: 'NAME_TAKEN',
    hint: 'choose another path, or move the project or group that has this one',
  },
  {
    pattern: /is a reserved name/i,
    code: 'NAME_RESERVED',
    hint: 'choose another path; GitLab keeps this one for itself',
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
    hint: 'use the token of an owner of the project who is also a maintainer of the target namespace',
  },
  {
    pattern:
      /(?:deleting|pushing to) protected (?:container )?repository(?: path)? forbidden|cannot delete protected tag/i,
    code: 'PROTECTED',
    hint: 'a protection rule forbids it; change the rule, or use a token that the rule allows',
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
