import {algorithmOf, type Digest, digestOf} from '../model/digest.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {ErrorData} from '../model/event.ts';
import {withOtherManifests} from '../model/foreign-layers.ts';
import {childManifests, parseManifest, type SeenManifest} from '../model/manifest.ts';
import type {Conversion} from '../model/conversion.ts';
import type {PlannedManifest} from '../model/plan.ts';
import type {ConversionFacts} from '../observe/convert-images.ts';
import type {FindManifest} from './candidate.ts';

/** An image in the form in which it is copied. */
export interface ConvertedImage {
  readonly root: SeenManifest;
  /** Finds the manifests below it: converted ones, and unchanged ones of the source. */
  readonly find: FindManifest;
  /** How each manifest that the source does not have was created, by its digest. */
  readonly conversions: ReadonlyMap<Digest, Conversion>;
}

/** The content that was read from the source. */
export interface ConversionSource {
  readonly find: FindManifest;
  readonly facts: ConversionFacts;
}

/**
 * Replaces images by their converted form. Indexes that list such an image are written again, and so are the indexes
 * above them.
 * @param cutFrom set if `root` is an index that was cut
 * @returns undefined: nothing below `root` is converted
 * @throws Error if the bytes of an index were not kept (a bug)
 */
export function convertedImage(
  root: SeenManifest,
  cutFrom: PlannedManifest['cutFrom'],
  {find, facts}: ConversionSource,
): ConvertedImage | {readonly error: ErrorData} | undefined {
  const made = new Map<Digest, SeenManifest>();
  const conversions = new Map<Digest, Conversion>();
  const results = new Map<Digest, SeenManifest>();
  let failed: ErrorData | undefined;

  const add = (manifest: SeenManifest, conversion: Conversion): SeenManifest => {
    made.set(manifest.descriptor.digest, manifest);
    conversions.set(manifest.descriptor.digest, conversion);
    return manifest;
  };
  const visit = (manifest: SeenManifest): SeenManifest => {
    const {digest} = manifest.descriptor;
    const known = results.get(digest);
    if (known !== undefined) return known;
    const leaf = facts.conversions.get(digest);
    if (leaf !== undefined && 'error' in leaf) failed ??= leaf.error;
    const result =
      leaf === undefined || 'error' in leaf
        ? withConvertedChildren(manifest)
        : add(leaf.manifest, leaf.conversion);
    results.set(digest, result);
    return result;
  };
  const withConvertedChildren = (index: SeenManifest): SeenManifest => {
    const instead = new Map<Digest, Descriptor>();
    for (const {digest} of childManifests(index.view)) {
      const child = find(digest);
      const converted = child && visit(child).descriptor;
      if (converted !== undefined && converted.digest !== digest) instead.set(digest, converted);
    }
    if (instead.size === 0) return index;
    const {bytes, descriptor} = index;
    if (bytes === undefined) throw new Error(`the bytes of ${descriptor.digest} were not kept`);
    const written = withOtherManifests(bytes, instead);
    const digest = digestOf(written, algorithmOf(descriptor.digest));
    const cut = index === root ? cutFrom : undefined;
    return add(parseManifest(written, descriptor.mediaType, digest, 'source'), {
      kind: 'index',
      digest: cut?.digest ?? descriptor.digest,
      ...(cut === undefined ? {} : {keep: cut.keep}),
      instead: [...instead].map(([from, to]) => ({from, to: to.digest})),
    });
  };

  const converted = visit(root);
  if (failed !== undefined) return {error: failed};
  if (conversions.size === 0) return undefined;
  return {root: converted, find: (digest) => made.get(digest) ?? find(digest), conversions};
}
