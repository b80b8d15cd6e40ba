import type {Symptom} from './symptom.ts';

/**
 * From GitLab's manuals for users and administrators (doc/user/packages/container_registry/,
 * doc/administration/packages/ container_registry_troubleshooting.md) and its release notes.
 */
export const GITLAB_SYMPTOMS: readonly Symptom[] = [
  {
    id: 'migration-unsupported',
    words: [
      'migrating container images to the gitlab registry is not supported',
      'コンテナイメージをgitlabレジストリに移行することはサポートされていません',
    ],
    meaning: 'GitLab has no import of images from other registries',
    whose: 'you',
    remedy: 'copy the images from registry to registry, with all platforms and the same digests',
    command: 'transship plan plans/acme.yaml',
  },
  {
    id: 'transfer-tags-present',
    words: [
      'project cannot be transferred',
      'tags are present in its container registry',
      'タグ付けがコンテナレジストリに存在するため、プロジェクトを転送できません',
      'コンテナレジストリに存在するため',
    ],
    meaning:
      'GitLab does not transfer a project while its container registry has tags, or not to another top-level group',
    whose: 'you',
    remedy:
      'move the project together with its images: they wait at a donor, and are verified before anything is deleted',
    command: 'transship plan transfer group/project --to new_group/',
  },
  {
    id: 'namespace-tags-present',
    words: [
      'namespace cannot be moved',
      'at least one project has tags in',
      'ネームスペースを移動できません',
      '少なくとも1つのプロジェクトのコンテナレジストリ',
      'that contain docker images in their container registry',
    ],
    meaning:
      'GitLab does not move a group, or rename a user, while a project below it has image repositories, even empty ones',
    whose: 'you',
    remedy: 'move the group together with the images of its projects',
    command: 'transship plan transfer --group group --to new_parent/',
  },
  {
    id: 'rename-tags-present',
    words: [
      'cannot rename project',
      'container registry path rename validation failed',
      'rename not supported',
    ],
    meaning:
      'GitLab does not change the path of a project with images, because its registry cannot rename repositories: that needs a metadata database and Redis',
    whose: 'you',
    remedy:
      'change the path together with the images; the API answers 200 with an empty body and changes nothing',
    command: 'transship plan transfer group/project --to group/new_path',
  },
  {
    id: 'job-token-scope',
    words: ['failed to pull image'],
    meaning:
      'a CI job may not read the image: the job token is limited to other projects, or the image moved with its project and the job has its old path',
    whose: 'the owner of the project',
    remedy:
      'add the project or group of the job to the job token allowlist of the project with the image, and correct image paths in CI files',
  },
  {
    id: 'old-docker',
    words: ['docker engine 17.11', 'unknown manifest'],
    meaning: 'Docker 17.11 and older ask for formats that the registry no longer has',
    whose: 'you',
    remedy: 'update docker',
  },
  {
    id: 'untrusted-key',
    words: ['token signed by untrusted key', 'error authorizing context: invalid token'],
    meaning:
      'the registry does not trust the key that GitLab signs tokens with: their certificate and key do not match. With more than 1000 tags it may also be a token that expired during a cleanup',
    whose: 'the administrator of GitLab',
    remedy:
      'compare the moduli of registry.key and registry.crt with openssl, let GitLab write both again, and restart the registry',
    command: 'transship doctor HOST',
  },
  {
    id: 'login-401',
    words: ['login attempt to', 'failed with status: 401'],
    meaning:
      'the registry refuses the login: a wrong password, a password where two-factor authentication needs a token, or a key that it does not trust',
    whose: 'you',
    remedy:
      'log in with an access token that has the scopes read_registry and write_registry; if all users are affected, ask the administrator about "token signed by untrusted key"',
    command: 'transship doctor HOST',
  },
  {
    id: 's3-delete',
    words: ['accessdenied', 's3:deleteobject', 'tags remain', 'deleteobject'],
    meaning:
      'the registry says that a tag was deleted and still has it: its storage (S3) may not delete objects',
    whose: 'the administrator of the registry',
    remedy:
      'give the role of the registry s3:DeleteObject; plan delete stops at the first tag that does not go',
    command: 'transship plan delete HOST/group/app --tag TAG',
  },
  {
    id: 'upstream-ipv6',
    words: ['connect() failed (111', 'while connecting to upstream', '[::1]:5000'],
    meaning:
      'the proxy of GitLab asks the registry at the IPv6 address of localhost, where nothing listens',
    whose: 'the administrator of GitLab',
    remedy: "set registry['registry_http_addr'] to 127.0.0.1:5000",
  },
  {
    id: 'gcs-502',
    words: ['gcs as the backend', 'google cloud storage', 'godebug=http2client', '502 bad gateway'],
    meaning:
      'the proxy in front of the registry does not reach it; where images are in Google Cloud Storage, large uploads fail with 502 and high CPU usage over HTTP/2',
    whose: 'the administrator of the registry',
    remedy:
      'check that the registry runs; with Google Cloud Storage, set GODEBUG=http2client=0 for it; meanwhile transship retries and resumes, and --jobs 4 helps',
  },
  {
    id: 'registry-key-missing',
    words: ['gitlab-registry.key', 'errno::enoent'],
    meaning:
      'GitLab has image repositories, and its registry is disabled: deleting such a project fails',
    whose: 'the administrator of GitLab',
    remedy: 'enable the registry for the time of the deletion',
  },
  {
    id: 'dind-lookup',
    words: ['dial tcp: lookup docker', 'error during connect: get http://docker'],
    meaning: 'the CI job does not reach the Docker daemon of its service',
    whose: 'you',
    remedy:
      'name the service docker:dind with the alias docker; to copy images no daemon is needed',
    command: 'transship copy SOURCE "$CI_REGISTRY_IMAGE"',
  },
  {
    id: '2fa',
    words: ['http basic: access denied'],
    meaning:
      'GitLab refuses the password: with two-factor authentication, or where passwords are disabled, it needs a token',
    whose: 'you',
    remedy: 'log in with a personal access token as the password',
  },
  {
    id: 'protected-tag',
    words: [
      'protected_tag',
      'cannot delete protected tag',
      'insufficient permissions to alter tag',
    ],
    meaning:
      'a protection rule of the project keeps your role from pushing or deleting this tag; the registry says so with 401',
    whose: 'the owner of the project',
    remedy: 'change the rule, or use a token of a higher role',
  },
  {
    id: 'immutable-tag',
    words: ['immutable_tag', 'tag is immutable'],
    meaning: 'a rule of the project makes this tag immutable: it cannot be overwritten or deleted',
    whose: 'the owner of the project',
    remedy: 'an owner can delete the rule; choose another tag otherwise',
  },
  {
    id: 'protected-path',
    words: [
      'pushing to protected repository path forbidden',
      'deleting protected container repository forbidden',
    ],
    meaning: 'a protection rule of the project keeps your role from this repository',
    whose: 'the owner of the project',
    remedy: 'change the rule, or use a token of a higher role',
  },
  {
    id: 'unknown-media-type',
    words: ['unknown media type'],
    meaning: "GitLab's registry with metadata database accepts known media types only",
    whose: 'the administrator of GitLab',
    remedy:
      'set REGISTRY_FF_DYNAMIC_MEDIA_TYPES=true (self-managed), or exclude the artifact; transship does not rewrite it',
  },
  {
    id: 'cleanup-regex',
    words: [
      'something went wrong while updating the cleanup policy',
      'cleanup policy doesnt delete',
      'cleanup policy does not delete',
      'cleanup policy',
      'same image id as the latest tag',
      'クリーンアップポリシー',
    ],
    meaning:
      'a cleanup policy deletes less or more than meant: its expressions are RE2, for the whole name, without a group around alternatives; latest and protected tags always stay',
    whose: 'the owner of the project',
    remedy: 'see what it would delete and keep, and why, before you enable it',
    command: 'transship plan delete --gitlab-policy group/project',
  },
  {
    id: 'bulk-once-an-hour',
    words: ['this request has already been made. you can run this at most once an hour'],
    meaning: 'GitLab accepts one bulk deletion per repository and hour',
    whose: 'you',
    remedy: 'delete tag by tag, by a plan',
    command: "transship plan delete HOST/group/app --tag 'dev-*'",
  },
  {
    id: 'tags-migrating',
    words: ['tags temporarily cannot be marked for deletion'],
    meaning:
      'the repository is being moved to the metadata database; nothing can be deleted until that is done',
    whose: 'you',
    remedy: 'wait some minutes and try again',
  },
  {
    id: 'empty-tag-names',
    words: [
      'tags with an empty name',
      'tag with an empty name',
      'no name in the gitlab ui',
      'datasync',
    ],
    meaning:
      'the storage of the registry has a stray object that shows as a tag without a name; it keeps projects from being transferred and cannot be deleted by name',
    whose: 'the administrator of the registry',
    remedy: 'remove the object below …/_manifests/tags/ from the bucket',
  },
  {
    id: 'invalid-name',
    words: [
      'docker connection error',
      'special characters in either the group',
      '特殊文字が含まれている',
      'docker接続エラー',
      '先頭のアンダースコア',
      '末尾のハイフン',
      'invalid reference format',
      'a leading underscore',
      'a trailing hyphen',
      'name_invalid',
    ],
    meaning:
      'the path of the group, project or branch has characters that image names cannot have: a leading underscore, a trailing hyphen, upper case',
    whose: 'the owner of the project',
    remedy: 'rename it; for tags from branches use CI_COMMIT_REF_SLUG',
    command: 'transship plan plans/acme.yaml --check',
  },
  {
    id: 'disabled',
    words: ['registry not enabled', 'unavailable: registry'],
    meaning: 'the container registry is disabled on the instance or in the project',
    whose: 'the owner of the project',
    remedy: 'enable it in Settings > General > Visibility',
  },
  {
    id: 'clock',
    words: ['clock', 'token used before issued', 'token is not valid yet'],
    meaning: 'clocks differ by more than a minute, so that tokens are not valid yet or no longer',
    whose: 'the administrator of the registry',
    remedy: 'synchronise the clocks of GitLab and the registry',
    command: 'transship doctor HOST',
  },
  {
    id: 'gitlab-v1-500',
    words: ['/gitlab/v1/', 'gitlab 19.0.0'],
    meaning:
      'GitLab 19.0.0 and 19.0.1 answer 500 at /gitlab/v1/, while images can be pulled and pushed',
    whose: 'the administrator of GitLab',
    remedy: 'update to 19.0.2 or later; transship continues with /v2/',
  },
  {
    id: 's3-put-500',
    words: ['s3-compatible', 'gitlab 19.1'],
    meaning:
      'GitLab 19.0 and 19.1 answer 500 at the end of an upload on some S3-compatible storages',
    whose: 'the administrator of GitLab',
    remedy: 'update to 19.2 or later',
  },
  {
    id: 'rename-in-progress',
    words: ['rename_in_progress'],
    meaning: 'GitLab is renaming the repository; nothing can be pushed for some seconds',
    whose: 'you',
    remedy: 'run the command again; transship waits and retries',
  },
  {
    id: 'no-space-after-delete',
    words: [
      'deleting an image doesnt free up storage space',
      'deleting an image does not free',
      'garbage collection',
    ],
    meaning:
      'a deleted tag frees no space: layers go with the garbage collection, with metadata database after 24 hours, otherwise when an administrator runs it',
    whose: 'the administrator of the registry',
    remedy:
      'run the garbage collector (gitlab-ctl registry-garbage-collect -m), or import into the metadata database',
  },
  {
    id: 'moving-unsupported',
    words: ['moving or renaming existing container registry repositories is not supported'],
    meaning: 'images are stored under the path of their repository, which GitLab does not rename',
    whose: 'you',
    remedy: 'move the project with its images, or copy the repository',
    command: 'transship copy HOST/group/old HOST/group/new --delete-source',
  },
  {
    id: 'deletion-queued',
    words: [
      'delay while the images are queued and deleted',
      'queued and deleted',
      'destructive action and cant be undone',
    ],
    meaning:
      'GitLab deletes repositories in the background, which takes minutes to hours; a deletion cannot be undone there',
    whose: 'you',
    remedy:
      'wait until the repositories are gone; what transship deletes by a plan is kept in an undo file and can be restored',
    command: 'transship doctor --gitlab https://gitlab.example.com --project group/project',
  },
  {
    id: 's3-access',
    words: [
      's3 permissions',
      's3 credentials',
      'aws s3 with the gitlab registry error when pushing',
      'nocredentialproviders',
      'authorizationheadermalformed',
    ],
    meaning:
      'the registry does not get into its S3 bucket: credentials, region or permissions are wrong',
    whose: 'the administrator of the registry',
    remedy:
      'compare region and credentials of the registry with the bucket; its role needs s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket',
    command: 'transship doctor HOST/group/app --write',
  },
  {
    id: 'trace-requests',
    words: ['mitmproxy', 'man-in-the-middle proxy'],
    meaning: 'a proxy that shows what docker and the registry say to each other',
    whose: 'you',
    remedy: 'to see the requests of transship no proxy is needed; credentials are not shown',
    command: 'transship doctor HOST/group/app --debug',
  },
  {
    id: 'stale-image',
    words: ['stale image', 'pull policy always', 'imagepullbackoff'],
    meaning:
      'a tag was moved, or its image moved with its project: what pulls it gets another image, or none',
    whose: 'you',
    remedy: 'pull by digest, or rewrite the references of deployments and CI files',
    command: 'transship refs move.plan.json --scan .',
  },
  {
    id: 'path-in-ci-files',
    words: ['$ci_registry/', '$ci_registry_image', 'the image path has changed'],
    meaning:
      'CI files and deployments name images by a path that changes with the path of their project',
    whose: 'you',
    remedy: 'write $CI_REGISTRY_IMAGE, and find the old names in the files',
    command: 'transship refs move.plan.json --scan .',
  },
  {
    id: 'delete-by-digest',
    words: ['reg rm', 'other tags of the digest', 'deletes all tags of the digest'],
    meaning:
      'tools that delete by digest delete every tag of the same image; GitLab deletes a single tag since 16.4',
    whose: 'you',
    remedy: 'delete tags by a plan, which lists what has the same digest and what would be left',
    command: "transship plan delete HOST/group/app --tag 'dev-*'",
  },
];
