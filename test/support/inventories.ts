import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Descriptor} from '../../src/model/descriptor.ts';
import {type Digest, digestOf, isDigest} from '../../src/model/digest.ts';
import {TransshipError} from '../../src/model/error.ts';
import {
  childBlobs,
  childManifests,
  type Manifest,
  parseManifest,
} from '../../src/model/manifest.ts';
import {OCI_INDEX, OCI_MANIFEST} from '../../src/model/media-type.ts';
import type {Tag} from '../../src/model/reference.ts';
import type {
  DestinationInventory,
  SourceInventory,
  SourceRoot,
  Unreadable,
} from '../../src/observe/inventory.ts';
import {attachmentSubject} from '../../src/plan/candidate.ts';
import {layoutDirectory, type LayoutName} from './fixtures.ts';

/** Inventories for planning, made of layouts and of manifests that tests make up. */

const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** A layer's descriptor; the same text gives the same digest. */
export function layer(text: string, more: Partial<Descriptor> = {}): Descriptor {
  return {mediaType: LAYER, digest: digestOf(text), size: Buffer.byteLength(text), ...more};
}

/** An image of the layers; its config's digest follows from them. */
export function image(
  layers: readonly (string | Descriptor)[],
  more: {readonly subject?: Manifest; readonly note?: string} = {},
): Manifest {
  const listed = layers.map((one) => (typeof one === 'string' ? layer(one) : one));
  const config = `config of ${listed.map(({digest}) => digest).join()} ${more.note ?? ''}`;
  return manifest({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: layer(config, {mediaType: 'application/vnd.oci.image.config.v1+json'}),
    layers: listed,
    ...(more.subject ? {subject: more.subject.descriptor} : {}),
  });
}

/** An entry of an index; `platform` as `os/architecture[/variant]`. */
export function entry(
  child: Manifest,
  platform?: string,
  annotations?: Record<string, string>,
): Descriptor {
  const [os = '', architecture = '', variant] = platform?.split('/') ?? [];
  return {
    ...child.descriptor,
    ...(platform ? {platform: {os, architecture, ...(variant ? {variant} : {})}} : {}),
    ...(annotations ? {annotations} : {}),
  };
}

export function index(entries: readonly Descriptor[], indent?: number): Manifest {
  return manifest({schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries}, indent);
}

export function manifest(json: object, indent?: number): Manifest {
  const bytes = new TextEncoder().encode(JSON.stringify(json, null, indent));
  return parseManifest(bytes, undefined, undefined, 'source');
}

/** A source with tags on manifests; all manifests it has are listed, but for the tagged ones. */
export function source(
  repository: string,
  tags: Readonly<Record<string, Manifest>>,
  others: readonly Manifest[] = [],
  more: Partial<SourceInventory> = {},
): SourceInventory {
  const all = [...Object.values(tags), ...others];
  const manifests = new Map(all.map((one) => [one.descriptor.digest, one]));
  const missing = all
    .flatMap(({view}) => childManifests(view).map(({digest}) => digest))
    .filter((digest) => !manifests.has(digest));
  return {
    repository,
    roots: Object.entries(tags).map(([tag, {descriptor}]) => ({
      tag: tag as Tag,
      digest: descriptor.digest,
      as: 'asked' as const,
    })),
    notRead: [],
    manifests,
    missingManifests: new Set(missing),
    absentForeign: new Set(),
    ...more,
  };
}

export function destination(
  repository: string,
  tags: Readonly<Record<string, Digest>> = {},
  present: readonly Digest[] = [],
): DestinationInventory {
  const entries = Object.entries(tags) as [Tag, Digest][];
  return {repository, exists: true, tags: new Map(entries), present: new Set(present)};
}

/**
 * A layout as a source. What has no tag and a subject is a referrer; with `attach`, tags of signatures and fallback
 * tags are attached to their subjects, otherwise they are asked for like any other tag.
 */
export function layoutSource(
  name: LayoutName,
  repository: string,
  {attach = false}: {readonly attach?: boolean} = {},
): SourceInventory {
  const layout = readLayout(layoutDirectory(name));
  const roots: SourceRoot[] = [];
  const unreadable: Unreadable[] = [];
  for (const {digest, tag} of layout.entries) {
    const view = layout.manifests.get(digest)?.view;
    const named = tag === undefined ? {digest} : {digest, tag: tag as Tag};
    const attached = attach ? attachmentSubject(tag ?? '') : undefined;
    const subject = view && view.kind !== 'schema1' ? view.subject?.digest : undefined;
    if (!view) unreadable.push(unreadableTag(tag as Tag));
    else if (attached) roots.push({...named, as: 'signature', subject: attached});
    else if (tag === undefined && subject) roots.push({digest, as: 'referrer', subject});
    else roots.push({...named, as: 'asked'});
  }
  const views = [...layout.manifests.values()].map(({view}) => view);
  const missing = views.flatMap((view) => childManifests(view)).map(({digest}) => digest);
  const absent = views
    .flatMap((view) => childBlobs(view))
    .filter(({urls, digest}) => urls?.length && !layout.blobs.has(digest));
  return {
    repository,
    roots,
    notRead: [],
    unreadable,
    manifests: layout.manifests,
    missingManifests: new Set(missing.filter((digest) => !layout.manifests.has(digest))),
    absentForeign: new Set(absent.map(({digest}) => digest)),
  };
}

function unreadableTag(tag: Tag): Unreadable {
  const error = {
    code: 'MANIFEST_INVALID',
    side: 'source',
    retry: false,
    message: 'of no type',
    hint: '',
  } as const;
  return {tag, error};
}

interface Layout {
  readonly entries: readonly {readonly digest: Digest; readonly tag: string | undefined}[];
  readonly manifests: ReadonlyMap<Digest, Manifest>;
  readonly blobs: ReadonlySet<string>;
}

const layouts = new Map<string, Layout>();

function readLayout(directory: string): Layout {
  const known = layouts.get(directory);
  if (known) return known;
  const blobs = new Map<Digest, Uint8Array>();
  for (const algorithm of readdirSync(join(directory, 'blobs'))) {
    for (const hex of readdirSync(join(directory, 'blobs', algorithm))) {
      const digest = `${algorithm}:${hex}`;
      if (isDigest(digest))
        blobs.set(digest, readFileSync(join(directory, 'blobs', algorithm, hex)));
    }
  }
  const listed = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')) as {
    manifests: Descriptor[];
  };
  const manifests = new Map<Digest, Manifest>();
  const visit = ({digest, mediaType}: Descriptor) => {
    const bytes = blobs.get(digest);
    if (!bytes || manifests.has(digest)) return;
    try {
      const read = parseManifest(bytes, mediaType, digest, 'source');
      manifests.set(digest, read);
      for (const child of childManifests(read.view)) visit(child);
    } catch (error) {
      if (!(error instanceof TransshipError) || error.code !== 'MANIFEST_INVALID') throw error;
    }
  };
  for (const one of listed.manifests) visit(one);
  const entries = listed.manifests.map(({digest, annotations}) => ({
    digest,
    tag: annotations?.['org.opencontainers.image.ref.name'],
  }));
  const layout = {entries, manifests, blobs: new Set<string>(blobs.keys())};
  layouts.set(directory, layout);
  return layout;
}
