import type {Symptom} from './symptom.ts';

/**
 * Of any registry: codes of the specification (distribution-spec, "Error Codes"), words of docker, TLS and the network.
 */
export const REGISTRY_SYMPTOMS: readonly Symptom[] = [
  {
    id: 'manifest-list-parts',
    words: ['manifest blob unknown', 'blob unknown to registry', 'manifest_blob_unknown'],
    meaning:
      'a manifest or index names content that is not in its own repository: images of a multi-platform image were pushed to other repositories, or not at all',
    whose: 'you',
    remedy:
      'push every platform to the repository of the index first; a copy of the whole image does that',
    command: 'transship copy SOURCE/app:1.0 HOST/group/app:1.0',
  },
  {
    id: 'accept-header',
    words: [
      'accept header does not support oci',
      'oci manifest found, but',
      'oci index found, but',
    ],
    meaning:
      'the client does not ask for OCI manifests, so the registry reports that there is none',
    whose: 'you',
    remedy: 'use a client of the last years (docker 20.10 or later); transship asks for all types',
  },
  {
    id: 'schema1',
    words: [
      'schema 1 manifest not supported',
      'compatibility_schema1_enabled',
      'manifest type unsupported',
      'schema1',
      'schema 1',
      'deprecated-schema-v1',
      'images in your gitlab container registry must use the docker v2 api',
      'docker v2 apiを使用する必要があります',
      'バージョン1のイメージ',
    ],
    meaning:
      'the image has the format of before 2016 (Docker schema 1), which registries no longer accept',
    whose: 'you',
    remedy: 'convert the image, which changes its digest, or exclude its tag',
    command: 'transship copy SOURCE HOST/group/app --convert-schema1',
  },
  {
    id: 'x509-unknown-authority',
    words: [
      'x509: certificate signed by unknown authority',
      'self-signed certificate',
      'unable to verify the first certificate',
    ],
    meaning:
      'the certificate of the registry comes from an authority that this machine does not know',
    whose: 'you',
    remedy:
      'pass the certificate of the authority with --ca-file FILE, or put it into /etc/docker/certs.d/HOST/ca.crt; do not disable the check',
    command: 'transship doctor HOST --ca-file FILE',
  },
  {
    id: 'x509-expired',
    words: ['x509: certificate has expired', 'certificate has expired'],
    meaning:
      'the certificate of the registry is no longer valid, or the clock of this machine is wrong',
    whose: 'the administrator of the registry',
    remedy: 'renew the certificate; check the clock with the Date header that doctor shows',
    command: 'transship doctor HOST',
  },
  {
    id: 'http-to-https',
    words: [
      'server gave http response to https client',
      'http: server gave http response',
      'wrong version number',
    ],
    meaning: 'the registry speaks HTTP without TLS',
    whose: 'you',
    remedy: 'name the host with --plain-http HOST if that is intended',
  },
  {
    id: 's3-unexpected-eof',
    words: ['err.detail=unexpected eof', 'unexpected eof'],
    meaning:
      'the storage behind the registry (often S3) breaks large uploads off: its parts are too small, or a proxy ends the request',
    whose: 'the administrator of the registry',
    remedy:
      'set chunksize of the S3 storage to 25 MB or more; transship resumes the upload, and --chunk-size 16MiB sends smaller pieces',
  },
  {
    id: 's3-empty-403',
    words: ['error parsing http 403 response body', 'unexpected end of json input'],
    meaning:
      'an empty 403 comes from the storage, not from the registry: its role may not HEAD or GET objects',
    whose: 'the administrator of the registry',
    remedy:
      'give the role of the registry s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject',
    command: 'transship doctor HOST/group/app --write',
  },
  {
    id: 'layer-32b',
    words: ['32b layer', 'push through nginx proxy fails', 'retrying in'],
    meaning:
      'pushes are repeated and never end: the proxy before the registry hides scheme or host, so that the registry names a wrong address for the upload',
    whose: 'the administrator of the registry',
    remedy: 'let the proxy pass Host and X-Forwarded-Proto, or set REGISTRY_HTTP_RELATIVEURLS=true',
    command: 'transship doctor HOST/group/app --write',
  },
  {
    id: 'token-expired-upload',
    words: ['unauthorized: authentication required'],
    meaning:
      'no login, or a token that expired during a long upload: tokens of GitLab live 5 minutes, on GitLab.com 15',
    whose: 'you',
    remedy:
      'log in; for large images, the administrator can raise the token duration. transship renews tokens before each chunk',
    command: 'transship doctor HOST/group/app',
  },
  {
    id: 'access-denied',
    words: [
      'requested access to the resource is denied',
      'denied: access forbidden',
      'access forbidden',
      'insufficient_scope',
      'pull access denied',
    ],
    meaning:
      'the login may not do this here: a missing scope (a push needs read_registry and write_registry), a missing role, or a path that is not a project',
    whose: 'you',
    remedy:
      'use a token with the scopes and at least the Developer role; a path may have two parts below the project at most',
    command: 'transship doctor HOST/group/app',
  },
  {
    id: 'manifest-referenced',
    words: ['manifest_referenced', 'manifest referenced by'],
    meaning: 'an index lists this manifest, so it cannot be deleted',
    whose: 'you',
    remedy: 'delete the index first; plan delete finds the order',
    command: 'transship plan delete HOST/group/app --tag TAG',
  },
  {
    id: 'foreign-layers',
    words: ['invalid url on layer', 'manifest_invalid', 'references become invalid'],
    meaning:
      'the registry refuses this manifest: layers with URLs (old Windows images), parts that are missing, or a type that it does not know',
    whose: 'you',
    remedy: 'look at the detail of the message; copy with --progress json to see the whole answer',
  },
  {
    id: 'read-only',
    words: ['read-only', 'the operation is unsupported', 'unsupported: the operation'],
    meaning:
      'the registry does not accept this: it is read-only, during a garbage collection or an import, or deletion is disabled',
    whose: 'the administrator of the registry',
    remedy: 'wait for the end of the maintenance; for deletion, enable storage.delete',
    command: 'transship doctor HOST/group/app --write',
  },
  {
    id: 'rate-limit',
    words: [
      'toomanyrequests',
      'too many requests',
      'you have reached your pull rate limit',
      'retry later',
    ],
    meaning:
      'too many requests: of Docker Hub per account and address, of GitLab.com per user and minute',
    whose: 'you',
    remedy:
      'log in; transship waits as long as the registry asks, for all workers, and reads each manifest once',
    command: 'transship doctor HOST',
  },
  {
    id: 'too-large',
    words: ['413 request entity too large', 'request entity too large'],
    meaning: 'a proxy before the registry limits the size of requests',
    whose: 'the administrator of the registry',
    remedy:
      'raise client_max_body_size; transship halves its chunks until they pass, --chunk-size 4MiB begins there',
  },
  {
    id: 'manifest-unknown',
    words: ['manifest unknown', 'manifest_unknown'],
    meaning: 'the tag or digest is not there: expired, deleted, or never pushed',
    whose: 'you',
    remedy: 'list what is there',
    command: 'transship inventory HOST/group/app',
  },
  {
    id: 'name-unknown',
    words: [
      'name unknown',
      'name_unknown',
      'repository name not known',
      'repository does not exist',
    ],
    meaning: 'there is no such repository, or this login may not see it',
    whose: 'you',
    remedy: 'check the path; list what is there',
    command: 'transship inventory HOST/group',
  },
  {
    id: 'upload-unknown',
    words: ['blob_upload_unknown', 'blob upload unknown', 'blob_upload_invalid'],
    meaning:
      'the registry no longer has the upload: it was purged, or several registries share no storage or secret (http.secret)',
    whose: 'the administrator of the registry',
    remedy:
      'give all registries behind a load balancer the same http.secret; transship begins the blob again',
  },
  {
    id: 'digest-mismatch',
    words: ['provided digest did not match', 'digest_invalid'],
    meaning: 'what arrived is not what was sent: a proxy changes bodies, or the source is damaged',
    whose: 'the network',
    remedy: 'connect to the registry directly; read what the destination has',
    command: 'transship verify app.plan.json --read',
  },
  {
    id: 'no-such-host',
    words: ['no such host', 'getaddrinfo enotfound', 'could not resolve host'],
    meaning: 'the name of the host is unknown here',
    whose: 'you',
    remedy: 'check the spelling, the DNS server, and a proxy',
    command: 'transship doctor HOST',
  },
  {
    id: 'refused',
    words: ['connection refused', 'econnrefused', 'connection reset by peer', 'i/o timeout'],
    meaning: 'nothing answers at this address, or a firewall is in between',
    whose: 'the network',
    remedy: 'check host and port; GitLab.com also needs cdn.registry.gitlab-static.net',
    command: 'transship doctor HOST',
  },
];
