import {type Digest, shortDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {isLocal, nameOf} from '../model/place.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {isTag, type Tag} from '../model/reference.ts';
import {mapAtOnce} from './at-once.ts';
import {convertImages, type ConversionWish} from './convert-images.ts';
import {
  asUnreadable,
  type NotRead,
  type SourceInventory,
  type SourceRoot,
  type Unreadable,
} from './inventory.ts';
import {listedDigests, listIfAble, moreSpecificFailure} from './listed-names.ts';
import {usualTags} from './listed-referrer.ts';
import {type KnownTags, ManifestReader} from './manifest-reader.ts';
import {type ConfigQuestion, readConfigs} from './read-configs.ts';
import type {ManifestBudget} from './seen-manifests.ts';
import {
  type ImageReference,
  leftUnnamed,
  type Listing,
  onlyImage,
  readUnnamed,
} from './unnamed-images.ts';

/** Maximum concurrent requests when observing; the throttle of the host may allow fewer (http/throttle.ts). */
export const OBSERVE_CONCURRENCY = 64;

/** What to read at a source. */
export interface SourceQuestion {
  /** One tag or digest, or, with neither, the only image; absent: every tag that `select` returns. */
  readonly reference?: ImageReference;
  /** The tag at the destination for the only image, if it has no name. Absent: it is copied by digest. */
  readonly unnamedAs?: Tag;
  /** Selects among all existing tags, by name. */
  readonly select: (names: readonly string[]) => TagSelection;
  /** The manifest that a signature's or a fallback tag belongs to; undefined: an ordinary tag. */
  readonly attachmentSubject: (tag: string) => Digest | undefined;
  /**
   * The digests that the destination has for these tags of the source, some of which have other names there. Identical
   * images need not be read.
   */
  readonly known: (
    wanted: readonly Tag[],
    toTags: ReadonlyMap<Tag, Tag> | undefined,
  ) => Promise<KnownTags>;
  /** The requested conversions of images. */
  readonly conversion?: ConversionWish;
  /** What to read from the configs of images. Absent: nothing. */
  readonly configs?: ConfigQuestion;
  /** Keep the bytes of indexes, because they may have to be reduced to some of their manifests. */
  readonly cutsIndexes?: boolean;
  /** The budget for keeping bytes of manifests; absent: none are kept. */
  readonly budget?: ManifestBudget;
  readonly progress: (done: number, total: number) => void;
}

/** The tags that filters select, and the others with the reason. */
export interface TagSelection {
  readonly selected: readonly Tag[];
  /** The new names of tags that are renamed. */
  readonly toTags?: ReadonlyMap<Tag, Tag>;
  readonly notRead: readonly NotRead[];
}

/**
 * Observes one source repository. The manifests of each tag that may have to be copied are read once; a tag that the
 * destination has with the same digest requires one HEAD.
 * @throws TransshipError REPOSITORY_NOT_FOUND, TAG_NOT_FOUND, MANIFEST_NOT_FOUND and the registry's refusals
 */
export async function observeSource(
  source: RepositoryReader,
  question: SourceQuestion,
  call: Call,
): Promise<SourceInventory> {
  const {reference} = question;
  const listed = await tagNames(source, reference, call);
  const names = listed instanceof TransshipError ? [] : listed;
  const selection: TagSelection =
    reference === undefined ? question.select(names) : {selected: [], notRead: []};
  const wanted = reference?.tag === undefined ? selection.selected : [reference.tag];
  const known = await question.known(wanted, selection.toTags);
  const reader = new ManifestReader(source, known, {
    concurrency: OBSERVE_CONCURRENCY,
    digests: await listedDigests(source, known.size, call),
    // An index that lists converted images is rewritten.
    keepsIndexes: question.cutsIndexes === true || question.conversion?.convertForeign === true,
    ...(question.budget === undefined ? {} : {budget: question.budget}),
  });
  const unnamed = await readUnnamed(reader, source, names, reference, call);
  const isAttachment = (name: string) => question.attachmentSubject(name) !== undefined;
  const found: SourceFindings = {roots: [], notRead: [...selection.notRead], unreadable: []};
  if (reference !== undefined)
    found.roots.push(
      await readOne(reader, source, reference, {names, unnamed}, isAttachment, call).catch(
        (error: unknown) => {
          throw moreSpecificFailure(listed, error);
        },
      ),
    );
  else if (names.length === 0 && unnamed.length === 1)
    for (const digest of unnamed) found.roots.push(loneRoot(digest, question.unnamedAs));
  else await readTags(reader, selection, found, question, call);
  await addAttachments(reader, source, found, listed, question, call);
  const {roots, unreadable} = found;
  const uncopied = (await source.listUncopied?.(call)) ?? [];
  const whyNewDigests = await source.whyNewDigests?.(call);
  const taken = new Set(roots.map((root) => root.tag));
  const absentForeign = await reader.absentForeign(call);
  const {conversion} = question;
  const converted =
    conversion &&
    (await convertImages(source, reader.manifests.values(), absentForeign, conversion, call));
  return {
    repository: source.name,
    roots,
    notRead: [
      ...found.notRead.filter(({tag}) => tag === undefined || !taken.has(tag as Tag)),
      ...(reference === undefined ? leftUnnamed(source.name, reader, roots, unnamed) : []),
    ],
    unreadable,
    manifests: reader.manifests,
    missingManifests: reader.missing,
    absentForeign,
    ...(converted === undefined ? {} : {converted}),
    ...(uncopied.length === 0 ? {} : {uncopied}),
    ...(whyNewDigests === undefined ? {} : {whyNewDigests}),
    ...(question.configs === undefined
      ? {}
      : await readConfigs(source, roots, reader.manifests, question.configs, call)),
  };
}

/** The content of a source found so far. */
interface SourceFindings {
  readonly roots: SourceRoot[];
  readonly notRead: NotRead[];
  readonly unreadable: Unreadable[];
}

function loneRoot(digest: Digest, toTag: Tag | undefined): SourceRoot {
  return {digest, as: 'asked', ...(toTag === undefined ? {} : {toTag})};
}

/** Lists the tags: required for a whole repository; for a single image only to find signatures, so it may fail. */
async function tagNames(
  source: RepositoryReader,
  reference: ImageReference | undefined,
  call: Call,
): Promise<readonly string[] | TransshipError> {
  const isOne = reference?.tag !== undefined || reference?.digest !== undefined;
  if (!isOne) {
    const names = await source.listTags(call);
    if (names !== undefined) return names;
    throw new TransshipError('REPOSITORY_NOT_FOUND', `${source.name} does not exist`, {
      side: 'source',
      hint: isLocal(source.name)
        ? 'check the path'
        : 'check the name; some registries also respond this way if the login has no access to the repository',
    });
  }
  return (await listIfAble(source, call)) ?? [];
}

async function readTags(
  reader: ManifestReader,
  {selected, toTags}: TagSelection,
  {roots, notRead, unreadable}: SourceFindings,
  question: SourceQuestion,
  call: Call,
): Promise<void> {
  const digests = new Map<Tag, Digest | undefined>();
  let done = 0;
  await mapAtOnce(selected, OBSERVE_CONCURRENCY, async (tag) => {
    try {
      digests.set(tag, await reader.readRoot(tag, call));
    } catch (error) {
      unreadable.push({tag, error: asUnreadable(error)});
    } finally {
      question.progress((done += 1), selected.length);
    }
  });
  for (const tag of selected) {
    if (!digests.has(tag)) continue;
    const digest = digests.get(tag);
    const toTag = toTags?.get(tag);
    if (digest === undefined) notRead.push(goneTag(tag));
    else roots.push({tag, digest, as: 'asked', ...(toTag === undefined ? {} : {toTag})});
  }
}

/** A tag that is listed but was just deleted, or whose manifest was lost. */
function goneTag(tag: Tag): NotRead {
  return {tag, reason: 'gone', detail: 'it is listed, but the source does not have its manifest'};
}

async function readOne(
  reader: ManifestReader,
  source: RepositoryReader,
  asked: ImageReference,
  listing: Listing,
  isAttachment: (name: string) => boolean,
  call: Call,
): Promise<SourceRoot> {
  const isNamed = asked.tag !== undefined || asked.digest !== undefined;
  const {tag, digest} = isNamed
    ? asked
    : await onlyImage(reader, source.name, listing, isAttachment, call);
  const wanted = digest ?? tag;
  const found = wanted && (await reader.readRoot(wanted, call));
  if (found !== undefined) return {...(tag === undefined ? {} : {tag}), digest: found, as: 'asked'};
  if (isNamed && nameOf(source.name, tag, digest) === source.name) throw noImage(source.name);
  throw new TransshipError(
    digest === undefined ? 'TAG_NOT_FOUND' : 'MANIFEST_NOT_FOUND',
    `${nameOf(source.name, digest === undefined ? tag : undefined, digest)} does not exist`,
    {
      side: 'source',
      hint: 'check the name; "transship plan copy" of the repository without a tag lists its tags',
    },
  );
}

/** The error for a place for one image that is empty. */
function noImage(name: string): TransshipError {
  return new TransshipError('TAG_NOT_FOUND', `${name} contains no image`, {
    side: 'source',
    hint: 'check the path; a directory without manifest.json was not written completely',
  });
}

/** Maximum length of a chain such as signatures of attestations of signatures; real ones have two or three. */
const REFERRER_DEPTH_LIMIT = 32;

/**
 * Adds the attachments of the roots: referrers of each of their manifests, signatures by tag, and attachments of those.
 */
async function addAttachments(
  reader: ManifestReader,
  source: RepositoryReader,
  {roots, notRead, unreadable}: SourceFindings,
  listed: readonly string[] | TransshipError,
  {attachmentSubject}: SourceQuestion,
  call: Call,
): Promise<void> {
  const isListed = !(listed instanceof TransshipError);
  if (!isListed) source.listNotUsed?.(listed, 'signatures are searched for by their usual tags');
  const tagsOf = new Map<Digest, Tag[]>();
  for (const name of isListed ? listed : []) {
    const subject = attachmentSubject(name);
    if (subject === undefined || !isTag(name)) continue;
    const tags = tagsOf.get(subject);
    if (tags === undefined) tagsOf.set(subject, [name]);
    else tags.push(name);
  }
  const taken = new Set([...roots, ...unreadable].map(({tag, digest}) => tag ?? digest));
  const asked = new Set<Digest>();
  const [first] = roots;
  // An unchanged index may have new referrers of one of its children.
  if (first && (await reader.hasReferrersApi(first.digest, call))) {
    await mapAtOnce(roots, OBSERVE_CONCURRENCY, async ({digest}) => {
      // Manifests that were not read yet are at the destination, so damage below them is ignored.
      await reader.readAll([digest], call).catch(asUnreadable);
    });
  }
  let fresh = reader.graph(roots.map((root) => root.digest));
  for (let depth = 1; fresh.length > 0; depth++) {
    if (depth > REFERRER_DEPTH_LIMIT) throw endlessChain(source);
    for (const subject of fresh) asked.add(subject);
    const found = await findAttached(
      reader,
      fresh,
      (subject) =>
        (isListed ? (tagsOf.get(subject) ?? []) : usualTags(subject)).filter(
          (tag) => !taken.has(tag),
        ),
      {notRead: isListed ? notRead : undefined, unreadable},
      call,
    );
    const added = found.filter((root) => !taken.has(root.tag ?? root.digest));
    for (const root of added) {
      taken.add(root.tag ?? root.digest);
      roots.push(root);
    }
    fresh = reader.graph(added.map((root) => root.digest)).filter((digest) => !asked.has(digest));
  }
  for (const [digest, error] of reader.unreadableReferrers) unreadable.push({digest, error});
  for (const [digest, subject] of reader.goneReferrers) {
    const detail = `it is listed as a referrer of ${shortDigest(subject)}, but the source does not have its manifest`;
    notRead.push({digest, reason: 'gone', detail});
  }
}

function endlessChain({name}: RepositoryReader): TransshipError {
  return new TransshipError(
    'RESPONSE_INVALID',
    `${name} has referrers nested deeper than ${REFERRER_DEPTH_LIMIT} levels`,
    {
      side: 'source',
      hint: 'the registry returns an endless chain of referrers; ask its administrator',
    },
  );
}

/**
 * Finds referrers and signature tags. `notRead` collects missing tags; undefined: the tags are guessed, and may be
 * missing.
 */
async function findAttached(
  reader: ManifestReader,
  subjects: readonly Digest[],
  tagsOf: (subject: Digest) => readonly Tag[],
  {
    notRead,
    unreadable,
  }: {readonly notRead: NotRead[] | undefined; readonly unreadable: Unreadable[]},
  call: Call,
): Promise<SourceRoot[]> {
  const referrers = await reader.referrersOf(subjects, call);
  const found: SourceRoot[] = referrers.map(({subject, digest}) => ({
    digest,
    as: 'referrer',
    subject,
  }));
  const gone = new Set<Tag>();
  const signatures = subjects.flatMap((subject) => tagsOf(subject).map((tag) => ({tag, subject})));
  const tagged = await mapAtOnce(
    signatures,
    OBSERVE_CONCURRENCY,
    async ({tag, subject}): Promise<SourceRoot[]> => {
      const digest = await reader.readRoot(tag, call).catch((error: unknown) => {
        unreadable.push({tag, error: asUnreadable(error)});
        return 'unreadable' as const;
      });
      if (digest === 'unreadable') return [];
      if (digest !== undefined) return [{tag, digest, as: 'signature', subject}];
      gone.add(tag);
      return [];
    },
  );
  if (notRead !== undefined && gone.size > 0) addGone(notRead, gone);
  return [...found, ...tagged.flat()];
}

/** Replaces "filtered", the initial reason of attachments that are not asked for. */
function addGone(notRead: NotRead[], gone: ReadonlySet<string>): void {
  const others = notRead.filter(({tag}) => tag === undefined || !gone.has(tag));
  notRead.length = 0;
  for (const one of others) notRead.push(one);
  for (const tag of gone) notRead.push(goneTag(tag as Tag));
}
