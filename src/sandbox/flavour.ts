/** In what a registry may differ from others and still be one. */
export interface Flavour {
  /** Tags per page when the client names no `n`; undefined: all at once. GitLab with a metadata database: 100. */
  readonly tagPageLimit: number | undefined;
  /** The referrers API and the OCI-Subject header; GitLab has neither. */
  readonly referrers: boolean;
  /** Whether DELETE of manifests and blobs is allowed (405 UNSUPPORTED if not). */
  readonly delete: boolean;
  /** Whether a manifest may be deleted by tag; distribution before 3.0 cannot. */
  readonly deleteByTag: boolean;
  /** Whether POST with `?digest=` takes the whole blob; distribution and GitLab ignore the digest. */
  readonly singlePost: boolean;
  /** Whether layers with `urls` may be absent; GitLab refuses them unless its admin allows the URL. */
  readonly foreignLayers: boolean;
  /**
   * Whether OCI artifact manifests are kept, as zot and others do; distribution and GitLab's registry do not know the type
   * (distribution: manifest/*, `RegisterManifestSchema`).
   */
  readonly artifactManifests: boolean;
  /**
   * Whether an upload is gone once it has got bytes that no answer acknowledged: distribution (docker-registry 2 and 3)
   * compares the offset in the Location with what it has (blobupload.go, `ResumeBlobUpload`); GitLab's does not.
   */
  readonly losesCutUploads: boolean;
  /** Bytes, sent as OCI-Chunk-Min-Length; nothing is taken after a smaller chunk. 0: not sent. */
  readonly minChunk: number;
}

/** The distribution spec 1.1 with all of its optional parts. */
export const SPEC_FLAVOUR: Flavour = {
  tagPageLimit: undefined,
  referrers: true,
  delete: true,
  deleteByTag: true,
  singlePost: true,
  foreignLayers: true,
  artifactManifests: true,
  losesCutUploads: false,
  minChunk: 0,
};

/** GitLab's registry with its metadata database (registry 4.x). */
export const GITLAB_FLAVOUR: Flavour = {
  ...SPEC_FLAVOUR,
  tagPageLimit: 100,
  referrers: false,
  singlePost: false,
  foreignLayers: false,
  artifactManifests: false,
};
