import type {ErrorCode} from '../model/error-codes.ts';

/** Codes of errors that mean the same or nearly so. */
export interface CodeEntry {
  readonly codes: readonly ErrorCode[];
  /** A clause in Markdown, with links as in docs/errors.md. */
  readonly meaning: string;
  /** What to do; the hint of an error says it for its case. */
  readonly remedy: string;
  /** What of transship helps. */
  readonly command?: string;
}

/** Every error code; the table in docs/errors.md is this one. */
export const CODE_ENTRIES: readonly CodeEntry[] = [
  {
    codes: ['USAGE'],
    meaning: 'a flag or an argument is wrong; the message names it',
    remedy: 'see the help of the command: transship COMMAND --help',
  },
  {
    codes: ['REFERENCE_INVALID'],
    meaning: 'not an image reference',
    remedy: 'write host[:port]/repository[:tag][@digest]; repository names are lower case',
  },
  {
    codes: ['TRANSPORT_UNKNOWN', 'TRANSPORT_UNSUPPORTED'],
    meaning:
      'not a transport; a destination that does not keep manifests unchanged, or has no place for a second image',
    remedy:
      'use docker://, oci:, oci-archive: or dir: for destinations; the others are for reading',
  },
  {
    codes: ['DIGEST_INVALID', 'PLATFORM_INVALID', 'FILTER_INVALID'],
    meaning: 'not a digest, platform, or filter',
    remedy: 'write sha256:…, os/arch, or a glob, as the hint shows',
  },
  {
    codes: ['FILE_UNREADABLE', 'FILE_INVALID'],
    meaning: 'the named file cannot be read, or has another format',
    remedy: 'check path and permissions',
  },
  {
    codes: ['POLICY_INVALID'],
    meaning: 'a [policy](policy.md) is wrong; every problem is listed as for migration files',
    remedy: 'correct the lines that are listed',
  },
  {
    codes: ['MIGRATION_INVALID'],
    meaning:
      'a migration file is wrong; every problem is listed as `file:line:column: message`, in JSON as `problems`',
    remedy: 'correct the lines that are listed',
    command: 'transship plan FILE.yaml --check',
  },
  {
    codes: ['PLAN_INVALID', 'PLAN_EDITED'],
    meaning: 'not a plan; edited by hand',
    remedy: 'plan again; plans are not edited by hand',
    command: 'transship plan copy SOURCE DESTINATION --out PLAN',
  },
  {
    codes: ['PLAN_FORMAT_NEWER', 'PLAN_FORMAT_OLD'],
    meaning:
      'made by a newer transship; made by an older one, whose format is no longer read: plan again',
    remedy: 'use the transship that made the plan, or plan again',
  },
  {
    codes: ['JOURNAL_INVALID'],
    meaning: 'not a journal',
    remedy: 'move the file away: what is done is found at the destination',
  },
  {
    codes: ['CREDENTIALS_INVALID', 'TLS_FILE_INVALID'],
    meaning: 'credentials or certificates that cannot be used',
    remedy: 'log in again with docker login, or name another file with --authfile',
  },
  {
    codes: ['PLAN_FORBIDDEN'],
    meaning: "a check of the plan forbids it; the message begins with the check's own code",
    remedy: 'read the finding in the review; change what it names, and plan again',
    command: 'transship show PLAN',
  },
  {
    codes: ['PLAN_NOT_REVIEWED'],
    meaning:
      'the id of the plan differs from `--plan-id`, or its signature does not match `--verify-key`',
    remedy: 'apply the plan that was reviewed, or review this one',
    command: 'transship show PLAN',
  },
  {
    codes: ['HOST_NOT_NAMED', 'PATH_NOT_ALLOWED'],
    meaning: 'a plan made on another machine names a host or a directory that you did not name',
    remedy: 'name the host or directory as the hint says, if you trust the plan',
  },
  {
    codes: ['SCHEMA1_UNSUPPORTED'],
    meaning: 'the image is a Docker schema 1 image; [convert it](places.md#images-in-another-form)',
    remedy: 'convert the image, or exclude it with --exclude-tag',
  },
  {
    codes: ['SOURCE_INCOMPLETE'],
    meaning: 'the source lacks a part of an image',
    remedy: 'push the image to the source again, choose platforms that are there, or exclude it',
  },
  {
    codes: ['NOTHING_SELECTED'],
    meaning: 'the source has images, but none can be copied after the filters',
    remedy: 'loosen the filters, or add --allow-empty',
    command: 'transship inventory SOURCE',
  },
  {
    codes: ['DESTINATION_CONFLICT'],
    meaning: 'two images have the same destination tag, or the tag is used for something else',
    remedy: 'give one of them another destination, or exclude it',
  },
  {
    codes: ['PROJECT_NOT_FOUND', 'GROUP_NOT_FOUND', 'NAMESPACE_NOT_FOUND'],
    meaning: 'it does not exist in GitLab, or the token cannot see it',
    remedy: 'check the path, and the role of the owner of the token',
  },
  {
    codes: ['NAME_TAKEN', 'NAME_RESERVED'],
    meaning: 'the new path is in use; GitLab or the registry does not allow the name',
    remedy: 'choose another path',
  },
  {
    codes: ['TOKEN_SCOPE_MISSING'],
    meaning: 'the token lacks a scope, or a registry token lacks an action',
    remedy:
      'use a token with the scope that the message names: api, or read_registry and write_registry',
  },
  {
    codes: ['TRANSFER_FORBIDDEN'],
    meaning: 'GitLab does not allow this user to make the transfer',
    remedy: 'use the token of an owner who may create projects in the target',
  },
  {
    codes: ['TRANSFER_TAGS_PRESENT', 'TRANSFER_REPOSITORIES_PRESENT', 'TRANSFER_PACKAGES_PRESENT'],
    meaning: 'GitLab refuses the transfer because of tags, image repositories or packages',
    remedy: 'move the project with its images',
    command: 'transship plan transfer group/project --to new_group/',
  },
  {
    codes: ['PATH_CHANGE_REFUSED', 'REGISTRY_RENAME_UNSUPPORTED'],
    meaning: 'GitLab did not change the path; its registry cannot rename repositories',
    remedy: 'move the images by way of a donor',
    command: 'transship plan transfer group/project --to group/new --staged',
  },
  {
    codes: ['REGISTRY_DISABLED', 'REGISTRY_READ_ONLY'],
    meaning: "the project's registry is disabled, or does not accept writes",
    remedy:
      'enable the registry in the settings of the project, or wait for the end of the maintenance',
  },
  {
    codes: ['DONOR_UNFIT'],
    meaning:
      'the images cannot wait at that donor: it contains other files, or would be lost with a CI job',
    remedy: 'name another donor with --donor',
  },
  {
    codes: ['COPIES_UNFINISHED'],
    meaning: '`apply --phase delete` was run before all images were at their destinations',
    remedy: 'apply the plan to its end first',
    command: 'transship apply PLAN',
  },
  {
    codes: ['ROLLBACK_TOO_LATE'],
    meaning:
      'the project or group cannot be moved back, and the message says why: use `apply`; or the registry no longer has the content of a deleted tag',
    remedy: 'complete the transfer; deleted tags have to be pushed again',
    command: 'transship status PLAN',
  },
  {
    codes: ['TRANSFER_UNFINISHED'],
    meaning:
      'an earlier transfer of the project left images at its donor: `apply` or `rollback` its plan',
    remedy: 'finish the earlier plan, or take it back',
    command: 'transship status PLAN',
  },
  {
    codes: ['DRIFT'],
    meaning: 'source or destination changed after planning',
    remedy: 'look at what changed, and plan again',
    command: 'transship plan copy SOURCE DESTINATION --out PLAN',
  },
  {
    codes: ['TAG_NOT_FOUND', 'REPOSITORY_NOT_FOUND', 'MANIFEST_NOT_FOUND', 'BLOB_NOT_FOUND'],
    meaning: 'it does not exist',
    remedy: 'list what is there; it may have been deleted, or the login may not see it',
    command: 'transship inventory HOST/REPOSITORY',
  },
  {
    codes: ['REPOSITORIES_NOT_LISTED'],
    meaning:
      'the host does not list its repositories, at least not to this login; [name them](inventory.md#sources)',
    remedy: 'name the repositories in a file, or use a login that may list them',
  },
  {
    codes: ['MANIFEST_INVALID', 'MANIFEST_TOO_LARGE', 'CONFIG_TOO_LARGE'],
    meaning: 'not a manifest; a manifest or config larger than 4 MiB',
    remedy: 'exclude the tag; it is not an image',
  },
  {
    codes: ['MANIFEST_PARTS_MISSING'],
    meaning: 'the registry lacks something that the manifest names',
    remedy: 'bring the parts again; run the command again',
    command: 'transship verify PLAN --repair',
  },
  {
    codes: ['BLOB_DIGEST_MISMATCH', 'BLOB_SIZE_MISMATCH', 'MANIFEST_DIGEST_MISMATCH'],
    meaning: 'the bytes do not match the digest or the size',
    remedy: 'connect to the registry directly; read what is stored, and push damaged images again',
    command: 'transship verify PLAN --read',
  },
  {
    codes: ['UPLOAD_LOST', 'UPLOAD_OFFSET_REFUSED'],
    meaning: 'an upload could not be completed',
    remedy:
      'run the command again; if it repeats, registries behind a load balancer need one storage and one http.secret',
  },
  {
    codes: ['NOT_A_REGISTRY', 'NOT_GITLAB'],
    meaning: 'something else responds at that address',
    remedy: 'check host and port: a web page or another service answers',
    command: 'transship doctor HOST',
  },
  {
    codes: ['UNAUTHORIZED', 'FORBIDDEN', 'PROTECTED'],
    meaning: 'no valid login; not allowed; a protection rule forbids it',
    remedy:
      'log in with docker login, or use a token with the missing scope; see who protects the tag',
    command: 'transship doctor HOST/REPOSITORY',
  },
  {
    codes: ['RATE_LIMITED', 'PAYLOAD_TOO_LARGE'],
    meaning: 'too many requests; a proxy accepts no body of this size',
    remedy:
      'wait, or log in; ask the administrator to raise the body size of the proxy, or use a smaller --chunk-size',
  },
  {
    codes: ['REGISTRY_REFUSED', 'REGISTRY_UNAVAILABLE', 'UNSUPPORTED_BY_REGISTRY'],
    meaning: 'rejected by the registry; see its message',
    remedy: 'read the words of the registry in the message',
    command: 'transship explain "WORDS OF THE REGISTRY"',
  },
  {
    codes: ['GITLAB_REFUSED', 'GITLAB_UNAVAILABLE'],
    meaning: 'rejected by GitLab; see its message',
    remedy: 'read the words of GitLab in the message',
    command: 'transship explain "WORDS OF GITLAB"',
  },
  {
    codes: ['REPOSITORY_DELETE_FAILED', 'CHANGE_NOT_SEEN', 'VERIFY_FAILED'],
    meaning: 'the requested change or the planned state cannot be found',
    remedy:
      'have an administrator check the permissions of the storage (S3: s3:DeleteObject); run the command again',
    command: 'transship verify PLAN',
  },
  {
    codes: ['DONOR_ABSENT'],
    meaning: 'images wait at a donor that is not on this machine, or that the token cannot see',
    remedy: 'run on the machine with the donor, or use a token that sees it',
  },
  {
    codes: ['TLS_CERTIFICATE', 'HOST_NOT_FOUND', 'CONNECTION_FAILED', 'TIMEOUT'],
    meaning: 'the connection failed',
    remedy: 'see which part fails: name, certificate, proxy or port',
    command: 'transship doctor HOST',
  },
  {
    codes: ['REDIRECT_REFUSED', 'RESPONSE_INVALID'],
    meaning: 'a response that cannot be followed or understood',
    remedy:
      'allow it for this host with --allow-unsafe-redirects HOST if it is meant; otherwise a proxy answers',
    command: 'transship doctor HOST',
  },
  {
    codes: ['CREDENTIAL_HELPER_FAILED'],
    meaning: 'a docker credential helper failed',
    remedy: 'run the helper by hand, or name another file with --authfile',
  },
  {
    codes: ['JOURNAL_WRITE_FAILED', 'FILE_WRITE_FAILED', 'JOURNAL_BUSY'],
    meaning:
      'the disk is full or not writable; another process holds the journal, or works on the project',
    remedy: 'free space, name a writable directory, or wait for the other run',
  },
  {
    codes: ['INTERNAL'],
    meaning: 'a bug in transship; please report it',
    remedy: 'report it with the output of --debug',
  },
  {
    codes: ['INTERRUPTED'],
    meaning: 'a signal ended the command',
    remedy: 'run the same command again: it resumes',
  },
  {
    codes: ['MAX_BYTES_REACHED', 'MAX_DURATION_REACHED', 'MAX_DELETES_REACHED'],
    meaning:
      '`--max-bytes`, `--max-duration` or `--max-deletes` ended the command; [run it again](limits.md#ending-a-run-early)',
    remedy: 'run the same command again: it resumes',
  },
];
