import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {ATTESTED, type Manifest, type ManifestView, type SeenManifest} from '../model/manifest.ts';
import type {Platform} from '../model/platform.ts';

/**
 * Limits for the manifests of one source, far above any real repository: the largest reported ones have about 100,000
 * tags, which share most of their layers. A plan has an entry for each content and for each listing of one.
 */
const LIMITS = {
  /** Different manifests, layers and configs. */
  contents: 150_000,
  /** Layers, configs and manifests that the manifests list, each as often as it is listed. */
  listed: 1_000_000,
  /** Characters of all distinct texts, such as media types and platforms. */
  texts: 4 * 1024 * 1024,
};

/** Maximum bytes of manifests that one plan keeps in memory so that they need not be read again. */
const MANIFEST_BYTES = 4 * 1024 * 1024;
/** Maximum bytes of indexes of one source, which are kept because a plan may have to reduce or rewrite them. */
const INDEX_BYTES = 64 * 1024 * 1024;

/**
 * The budget for the bytes of manifests that are kept in memory. Manifests beyond it are read again, by digest, when
 * they are needed. All sources of a plan share it, since there may be thousands.
 */
export class ManifestBudget {
  #left = MANIFEST_BYTES;

  /** Reserves this many bytes. @returns false if not enough are left */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }
}

/**
 * Keeps the parts of manifests that plans need. There may be 100,000 manifests, which list a million layers: equal
 * texts and descriptors are stored once, unused fields are dropped, and so are the bytes, unless the budget allows for
 * them.
 * @throws TransshipError RESPONSE_INVALID beyond the limits above
 */
export class SeenManifests {
  readonly all = new Map<Digest, SeenManifest>();
  readonly #name: string;
  readonly #keepsIndexes: boolean;
  readonly #budget: ManifestBudget | undefined;
  readonly #descriptors = new Map<Digest, Descriptor>();
  readonly #texts = new Map<string, string>();
  #contents = 0;
  #listed = 0;
  #characters = 0;
  /** Bytes of the kept indexes. */
  #bytes = 0;

  /**
   * @param keepsIndexes keep the bytes of all indexes, and no others
   * @param budget absent: keep no bytes
   */
  constructor(name: string, keepsIndexes: boolean, budget?: ManifestBudget) {
    this.#name = name;
    this.#keepsIndexes = keepsIndexes;
    this.#budget = budget;
  }

  /** Keeps a manifest. One that is known already is not counted again. */
  keep(manifest: Manifest): SeenManifest {
    const known = this.all.get(manifest.descriptor.digest);
    if (known !== undefined) return known;
    const descriptor = this.#descriptor(manifest.descriptor);
    const seen = {
      descriptor,
      view: this.#view(manifest.view),
      ...(this.#keepsBytes(manifest) ? {bytes: manifest.bytes} : {}),
    };
    this.all.set(descriptor.digest, seen);
    return seen;
  }

  #keepsBytes({bytes: {byteLength}, view}: Manifest): boolean {
    if (!this.#keepsIndexes) return this.#budget?.take(byteLength) === true;
    if (view.kind !== 'index') return false;
    this.#bytes += byteLength;
    if (this.#bytes > INDEX_BYTES) throw this.#beyond(`indexes of more than ${INDEX_BYTES} bytes`);
    return true;
  }

  #view(view: ManifestView): ManifestView {
    if (view.kind === 'schema1') return view;
    const shared = {
      ...(view.subject === undefined ? {} : {subject: this.#descriptor(view.subject)}),
      ...(view.artifactType === undefined ? {} : {artifactType: this.#text(view.artifactType)}),
    };
    switch (view.kind) {
      case 'image':
        return {
          kind: view.kind,
          config: this.#descriptor(view.config),
          layers: this.#list(view.layers),
          ...shared,
        };
      case 'index':
        return {kind: view.kind, manifests: this.#list(view.manifests), ...shared};
      case 'artifact':
        return {kind: view.kind, blobs: this.#list(view.blobs), ...shared};
    }
  }

  #list(descriptors: readonly Descriptor[]): readonly Descriptor[] {
    this.#listed += descriptors.length;
    if (this.#listed > LIMITS.listed)
      throw this.#beyond(`manifests that list more than ${LIMITS.listed} layers`);
    return descriptors.map((one) => this.#descriptor(one));
  }

  #descriptor(one: Descriptor): Descriptor {
    const {mediaType, digest, size, artifactType, platform, urls, annotations} = one;
    const attested = annotations?.[ATTESTED];
    const isPlain =
      artifactType === undefined &&
      platform === undefined &&
      attested === undefined &&
      (urls?.length ?? 0) === 0;
    const known = this.#descriptors.get(digest);
    if (isPlain && known?.mediaType === mediaType && known.size === size) return known;
    this.#contents += 1;
    if (this.#contents > LIMITS.contents)
      throw this.#beyond(`more than ${LIMITS.contents} manifests and layers`);
    const base = {mediaType: this.#text(mediaType), digest: known?.digest ?? digest, size};
    if (isPlain) {
      if (known === undefined) this.#descriptors.set(digest, base);
      return base;
    }
    if (known === undefined) this.#descriptors.set(digest, base);
    return {
      ...base,
      ...(artifactType === undefined ? {} : {artifactType: this.#text(artifactType)}),
      ...(platform === undefined ? {} : {platform: this.#platform(platform)}),
      ...(attested === undefined ? {} : {annotations: {[ATTESTED]: this.#text(attested)}}),
      // Plans use only whether there are any.
      ...(urls === undefined || urls.length === 0 ? {} : {urls: SOME_URLS}),
    };
  }

  #platform({os, architecture, variant, osVersion}: Platform): Platform {
    return {
      os: this.#text(os),
      architecture: this.#text(architecture),
      ...(variant === undefined ? {} : {variant: this.#text(variant)}),
      ...(osVersion === undefined ? {} : {osVersion: this.#text(osVersion)}),
    };
  }

  #text(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    this.#characters += text.length;
    if (this.#characters > LIMITS.texts)
      throw this.#beyond('media types and platforms of excessive length');
    this.#texts.set(text, text);
    return text;
  }

  #beyond(what: string): TransshipError {
    return new TransshipError('RESPONSE_INVALID', `${this.#name} has ${what}`, {
      side: 'source',
      hint: 'copy fewer tags at once, with --tag or --semver',
    });
  }
}

const SOME_URLS: readonly string[] = ['elsewhere'];
