import {type Digest, shortDigest} from '../model/digest.ts';
import type {ErrorData} from '../model/event.ts';
import {nameOf} from '../model/place.ts';
import type {Conversion} from '../model/conversion.ts';
import type {BlobAction, Check, PlannedManifest} from '../model/plan.ts';
import type {NotRead} from '../observe/inventory.ts';
import type {UncostedCopy} from './totals.ts';

/** @param alone whether nothing else was requested, so that the whole plan fails */
export function schema1Check(subject: string, alone: boolean): Check {
  return {
    code: 'SCHEMA1_UNSUPPORTED',
    result: alone ? 'forbid' : 'warn',
    subject,
    message: `${subject} is an image of Docker schema 1, which registries rewrite`,
    hint: 'convert it with --convert-schema1, which gives it a new digest, or exclude it',
  };
}

/** @param conversions the conversions of its manifests, by their new digests */
export function convertedCheck(
  subject: string,
  old: Digest,
  digest: Digest,
  conversions: ReadonlyMap<Digest, Conversion>,
): Check {
  const isSchema1 = [...conversions.values()].some(({kind}) => kind === 'schema1');
  const others = [...conversions].filter(([own, {kind}]) => own !== digest && kind !== 'index');
  const changed = others.map(
    ([own, {digest: from}]) => `${shortDigest(from)} becomes ${shortDigest(own)}`,
  );
  const below = changed.length === 0 ? '' : ` (${changed.join(', ')})`;
  const what = isSchema1
    ? 'Docker schema 1 becomes schema 2'
    : 'foreign layers become ordinary layers';
  return {
    code: 'IMAGE_CONVERTED',
    result: 'warn',
    subject,
    message: `${subject} gets ${shortDigest(digest)} instead of ${shortDigest(old)}: ${what}${below}`,
    hint: 'signatures of the old digest do not go with it; update references to the old digest',
  };
}

/** @param alone whether nothing else was requested, so that the whole plan fails */
export function incompleteCheck(
  subject: string,
  missing: readonly Digest[],
  alone: boolean,
): Check {
  const [first, ...others] = missing;
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  return {
    code: 'SOURCE_INCOMPLETE',
    result: alone ? 'forbid' : 'warn',
    subject,
    message: `${subject} lists ${first === undefined ? 'manifests' : shortDigest(first)}${more}, which the source does not have`,
    hint: 'push the image to the source again, or choose the platforms that are there with --platform',
  };
}

export function noPlatformCheck(subject: string, detail: string): Check {
  return {
    code: 'SKIPPED',
    result: 'forbid',
    subject,
    message: `${subject} is left out, and nothing else was asked for: ${detail}`,
    hint: 'choose a platform that the image has, or leave --platform out',
  };
}

/**
 * An unreadable tag does not prevent the others from being copied.
 * @param alone whether nothing else was requested, so that the whole plan fails
 */
export function unreadableCheck(
  subject: string,
  {code, message, hint}: ErrorData,
  alone = false,
): Check {
  const result = alone ? 'forbid' : 'warn';
  return {code, result, subject, message: `${subject} is left out: ${message}`, hint};
}

export function invalidNamesCheck(repository: string, {length}: readonly NotRead[]): Check {
  return {
    code: 'SKIPPED',
    result: 'warn',
    subject: repository,
    message: `${repository} lists ${length} ${length === 1 ? 'tag with an invalid name' : 'tags with invalid names'}`,
    hint: 'delete such tags at the source, or copy their images by digest',
  };
}

/**
 * Tags whose new names are not valid tags. This forbids the plan, because the user chose the names: skipping the tags
 * would hide the mistake.
 */
export function misnamedCheck(repository: string, misnamed: readonly NotRead[]): Check {
  const [first] = misnamed;
  const more = misnamed.length === 1 ? '' : `, and ${misnamed.length - 1} more like it`;
  return {
    code: 'NAME_RESERVED',
    result: 'forbid',
    subject: repository,
    message: `${repository}:${first?.tag ?? ''} cannot be renamed: ${first?.detail ?? ''}${more}`,
    hint: 'a tag has at most 128 letters, digits, "_", "." and "-", and does not start with "." or "-": change "rename"',
  };
}

/** Tags that the source lists, but whose manifests it does not have. */
export function goneCheck(repository: string, gone: readonly NotRead[]): Check {
  return {
    code: 'MANIFEST_NOT_FOUND',
    result: 'warn',
    subject: repository,
    message: `${repository} lists ${namesOf(gone)}, but does not have the manifest: left out`,
    hint: 'push the image again or delete the tag at the source, or leave it out with --exclude-tag',
  };
}

/** Images in a layout that no tag identifies. */
export function unnamedCheck(repository: string, unnamed: readonly NotRead[]): Check {
  const [first] = unnamed;
  const name = first?.tag === undefined ? `@${first?.digest ?? ''}` : `:${first.tag}`;
  return {
    code: 'SKIPPED',
    result: 'warn',
    subject: repository,
    message: `${repository} holds ${namesOf(unnamed)}, which ${unnamed.length === 1 ? 'has no tag of its own' : 'have no tags of their own'}: left out`,
    hint: `copy such images one by one, with a tag at the destination: transship copy ${repository}${name} HOST/REPOSITORY:TAG`,
  };
}

function namesOf([first, ...others]: readonly NotRead[]): string {
  const name = first?.tag ?? (first?.digest === undefined ? '' : shortDigest(first.digest));
  return others.length === 0 ? name : `${name} and ${others.length} more`;
}

/**
 * @param to what the tag will point to instead of the whole index
 * @param absent attestations that are cut because the source does not have them
 */
export function indexCutCheck(
  subject: string,
  index: Digest,
  to: string,
  absent: readonly Digest[],
): Check {
  const without =
    absent.length === 0
      ? ''
      : `, without the attestations ${absent.map(shortDigest).join(', ')}, which the source does not have`;
  return {
    code: 'INDEX_CUT',
    result: 'warn',
    subject,
    message: `${subject} gets ${to} instead of ${shortDigest(index)}${without}: another digest than at the source`,
    hint: 'signatures and attestations of the whole index do not go with it; leave --platform out to keep everything',
  };
}

/** @param names the names of files beside an image */
export function uncopiedCheck(repository: string, names: readonly string[]): Check {
  const [first = '', ...others] = names;
  const listed = others.length === 0 ? first : `${first} and ${others.length} more`;
  return {
    code: 'SKIPPED',
    result: 'warn',
    subject: repository,
    message: `${repository} contains ${listed}, which only skopeo stores: left out`,
    hint: 'copy signatures with skopeo, or sign the image at the destination',
  };
}

/** @param why the reason, as a clause */
export function newDigestsCheck(
  repository: string,
  {length}: readonly unknown[],
  why: string,
): Check {
  return {
    code: 'DIGESTS_NEW',
    result: 'warn',
    subject: repository,
    message: `${length === 1 ? '1 image' : `${length} images`} of ${repository} ${length === 1 ? 'gets a new digest' : 'get new digests'}: ${why}`,
    hint: 'the config keeps its digest, the image ID; apply the plan on a machine with the same version of transship and kind of processor',
  };
}

function tagMovesCheck(subject: string, old: Digest, next: Digest): Check {
  return {
    code: 'TAG_MOVES',
    result: 'warn',
    subject,
    message: `${subject} points to ${shortDigest(old)} and will point to ${shortDigest(next)}`,
    hint: 'give the old image another tag first if it is still needed, or leave this tag out',
  };
}

function foreignLayersCheck(subject: string, count: number): Check {
  const counted = count === 1 ? '1 layer' : `${count} layers`;
  return {
    code: 'FOREIGN_LAYERS',
    result: 'warn',
    subject,
    message: `${counted} of ${subject} not copied: not in the source, only at the URLs in the manifest`,
    hint: 'copy them with --include-foreign; without, clients must be able to reach these URLs, and some registries refuse such manifests',
  };
}

/** Layers that are read from hosts that only a manifest names. */
function layersFetchedCheck(
  subject: string,
  urls: readonly string[],
  changing: readonly Digest[],
): Check {
  const hosts = [...new Set(urls.map((url) => URL.parse(url)?.host ?? url))];
  const counted = urls.length === 1 ? '1 layer' : `${urls.length} layers`;
  const isKept = changing.length > 0;
  const refusal = `; a registry that refuses layers with URLs refuses ${changing.map(shortDigest).join(', ')}`;
  return {
    code: 'FOREIGN_LAYERS',
    result: 'warn',
    subject,
    message: `${counted} of ${subject} read from ${hosts.join(', ')}, which only the manifest names${isKept ? refusal : ''}`,
    hint: isKept
      ? '--convert-foreign makes ordinary layers of them, which changes these digests and those of the indexes above'
      : 'the hosts get no credentials, and the digest decides whether their bytes are used',
  };
}

/** Checks that follow from the copies. A plan file does not contain them: they are computed again when it is read. */
export function stepChecks(
  steps: readonly UncostedCopy[],
  manifests: readonly PlannedManifest[],
  blobs: readonly BlobAction[],
): readonly Check[] {
  const blobsOf = new Map(manifests.map((manifest) => [manifest.digest, manifest.blobs]));
  const foreign = new Set(
    blobs.flatMap(({action, to, digest}) => (action === 'foreign' ? [`${to} ${digest}`] : [])),
  );
  const fetched = new Map(
    blobs.flatMap(({to, digest, urls}) => (urls?.[0] ? [[`${to} ${digest}`, urls[0]]] : [])),
  );
  const converted = new Set(
    manifests.flatMap(({digest, convertedFrom}) => (convertedFrom === undefined ? [] : [digest])),
  );
  return steps.flatMap((step) => {
    const target = nameOf(step.to, step.tag, step.digest);
    const isPlain = foreign.size === 0 && fetched.size === 0;
    const layers = isPlain ? [] : step.manifests.flatMap((digest) => blobsOf.get(digest) ?? []);
    const urls = [...new Set(layers)].flatMap(
      (digest) => fetched.get(`${step.to} ${digest}`) ?? [],
    );
    const changing = step.manifests.filter(
      (digest) =>
        !converted.has(digest) &&
        blobsOf.get(digest)?.some((blob) => fetched.has(`${step.to} ${blob}`)),
    );
    const absent = [...new Set(layers)].filter((digest) =>
      foreign.has(`${step.to} ${digest}`),
    ).length;
    return [
      ...(step.replaces === null ? [] : [tagMovesCheck(target, step.replaces, step.digest)]),
      ...(absent === 0 ? [] : [foreignLayersCheck(target, absent)]),
      ...(urls.length === 0 ? [] : [layersFetchedCheck(target, urls, changing)]),
    ];
  });
}

/** Whether `stepChecks` computes this check. */
export function isStepCheck({code}: Check): boolean {
  return code === 'TAG_MOVES' || code === 'FOREIGN_LAYERS';
}

/**
 * The source has images, but none of them is selected. This forbids the plan: otherwise a filter with a typo would
 * succeed.
 * @param hint what to do if no filter is the cause
 */
export function nothingSelectedCheck(
  source: string,
  skipped: number,
  hint: string | undefined,
): Check {
  return {
    code: 'NOTHING_SELECTED',
    result: 'forbid',
    subject: source,
    message: `nothing is left to copy from ${source}: ${skipped} left out`,
    hint: hint ?? 'the plan says why each was left out; change the filters, or name another source',
  };
}

/** @param sources the two images for one tag, as references with digests */
export function conflictCheck(subject: string, sources: readonly [string, string]): Check {
  return {
    code: 'DESTINATION_CONFLICT',
    result: 'forbid',
    subject,
    message: `${subject} is the destination of two images: ${sources[0]} and ${sources[1]}`,
    hint: 'send one of them to another repository or tag, or leave it out',
  };
}
