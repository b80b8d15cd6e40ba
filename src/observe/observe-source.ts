import PQueue from 'p-queue';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {isTag, type Tag} from '../model/reference.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import type {ErrorData} from '../model/event.ts';
import {forEachAtOnce} from './for-each-at-once.ts';
import type {NotRead, SourceInventory, SourceRoot, Unreadable} from './inventory.ts';
import {type KnownTags, ManifestReader} from './manifest-reader.ts';
import {readConfigs} from './read-configs.ts';

/** Requests that observing keeps going at once; the host's own limit is below them (http/). */
export const OBSERVE_CONCURRENCY = 64;

/** What is to be read at a source. */
export interface SourceQuestion {
  /** One tag or digest; absent: every tag that `select` leaves. */
  readonly reference?: {readonly tag?: Tag; readonly digest?: Digest};
  /** Chooses among all the tags that are there, by name. */
  readonly select: (names: readonly string[]) => TagSelection;
  /** The manifest that a signature's or a fallback tag belongs to; undefined: an ordinary tag. */
  readonly attachmentSubject: (tag: string) => Digest | undefined;
  /** What the destination has for these tags of the source; what is the same there need not be read. */
  readonly known: (wanted: readonly Tag[]) => Promise<KnownTags>;
  /** Whether times of creation and platforms are needed, which costs one config blob for each image. */
  readonly configs: boolean;
  readonly progress: (done: number, total: number) => void;
}

export interface TagSelection {
  readonly selected: readonly Tag[];
  readonly notRead: readonly NotRead[];
}

/**
 * Looks at one source repository. For each tag that may have to be copied its manifests are read once; a tag that the
 * destination has with the same digest costs one HEAD.
 * @throws TransshipError REPOSITORY_NOT_FOUND, TAG_NOT_FOUND, MANIFEST_NOT_FOUND and the registry's refusals
 */
export async function observeSource(
  source: RepositoryReader,
  question: SourceQuestion,
  call: Call,
): Promise<SourceInventory> {
  const {reference} = question;
  const names = await tagNames(source, reference, call);
  const {selected, notRead} =
    reference === undefined ? question.select(names) : {selected: [], notRead: []};
  const wanted = reference?.tag === undefined ? selected : [reference.tag];
  const reader = new ManifestReader(source, await question.known(wanted), OBSERVE_CONCURRENCY);
  const unreadable: Unreadable[] = [];
  const roots: SourceRoot[] =
    reference === undefined
      ? await readTags(reader, selected, unreadable, question, call)
      : [await readOne(reader, source, reference, call)];
  await addAttachments(reader, roots, names, question, call);
  const taken = new Set(roots.map((root) => root.tag));
  return {
    repository: source.name,
    roots,
    notRead: notRead.filter(({tag}) => !taken.has(tag as Tag)),
    unreadable,
    manifests: reader.manifests,
    missingManifests: reader.missing,
    absentForeign: await reader.absentForeign(call),
    ...(question.configs ? await readConfigs(source, roots, reader.manifests, call) : {}),
  };
}

/** The names are needed for a whole repository, and to find signatures; a single image does without them if it must. */
async function tagNames(
  source: RepositoryReader,
  reference: SourceQuestion['reference'],
  call: Call,
): Promise<readonly string[]> {
  if (reference === undefined) {
    const names = await source.listTags(call);
    if (names !== undefined) return names;
    throw new TransshipError('REPOSITORY_NOT_FOUND', `${source.name} does not exist`, {
      side: 'source',
      hint: 'check the name; some registries also answer so where the credentials may not see the repository',
    });
  }
  try {
    return (await source.listTags(call)) ?? [];
  } catch (error) {
    if (
      error instanceof TransshipError &&
      (error.code === 'FORBIDDEN' || error.code === 'UNAUTHORIZED')
    )
      return [];
    throw error;
  }
}

async function readTags(
  reader: ManifestReader,
  tags: readonly Tag[],
  unreadable: Unreadable[],
  question: SourceQuestion,
  call: Call,
): Promise<SourceRoot[]> {
  const digests = new Map<Tag, Digest>();
  let done = 0;
  await forEachAtOnce(tags, OBSERVE_CONCURRENCY, async (tag) => {
    try {
      const digest = await reader.readRoot(tag, call);
      if (digest !== undefined) digests.set(tag, digest);
    } catch (error) {
      unreadable.push({tag, error: asUnreadable(error)});
    } finally {
      question.progress((done += 1), tags.length);
    }
  });
  return tags.flatMap((tag) => {
    const digest = digests.get(tag);
    // Deleted between the listing and now: it is simply not there.
    return digest === undefined ? [] : [{tag, digest, as: 'asked' as const}];
  });
}

/** One tag that holds nonsense must not keep the others back; a registry that refuses does. */
function asUnreadable(error: unknown): ErrorData {
  if (!(error instanceof TransshipError) || !UNREADABLE.has(error.code)) throw error;
  const {code, side, message, hint} = error;
  return {code, side, message, hint};
}

const UNREADABLE: ReadonlySet<ErrorCode> = new Set([
  'MANIFEST_INVALID',
  'MANIFEST_TOO_LARGE',
  'MANIFEST_DIGEST_MISMATCH',
]);

async function readOne(
  reader: ManifestReader,
  source: RepositoryReader,
  {tag, digest}: NonNullable<SourceQuestion['reference']>,
  call: Call,
): Promise<SourceRoot> {
  const wanted = digest ?? tag;
  const found = wanted && (await reader.readRoot(wanted, call));
  if (found !== undefined) return {...(tag === undefined ? {} : {tag}), digest: found, as: 'asked'};
  throw new TransshipError(
    digest === undefined ? 'TAG_NOT_FOUND' : 'MANIFEST_NOT_FOUND',
    `${source.name}${digest === undefined ? `:${tag ?? ''}` : `@${digest}`} does not exist`,
    {
      side: 'source',
      hint: 'check the name; "transship plan copy" of the repository without a tag lists what is there',
    },
  );
}

/** Adds what belongs to the roots: referrers of each of their manifests, signatures by tag, and what refers to those. */
async function addAttachments(
  reader: ManifestReader,
  roots: SourceRoot[],
  names: readonly string[],
  {attachmentSubject}: SourceQuestion,
  call: Call,
): Promise<void> {
  const tagsOf = new Map<Digest, Tag[]>();
  for (const name of names) {
    const subject = attachmentSubject(name);
    if (subject !== undefined && isTag(name))
      tagsOf.set(subject, [...(tagsOf.get(subject) ?? []), name]);
  }
  const taken = new Set(roots.map((root) => root.tag ?? root.digest));
  const asked = new Set<Digest>();
  const [first] = roots;
  // Something may refer to a child of an index that has not changed itself.
  if (first && (await reader.hasReferrersApi(first.digest, call))) {
    await reader.readAll(
      roots.map((root) => root.digest),
      call,
    );
  }
  let fresh = reader.graph(roots.map((root) => root.digest));
  while (fresh.length > 0) {
    for (const subject of fresh) asked.add(subject);
    const found = await findAttached(
      reader,
      fresh,
      (subject) => (tagsOf.get(subject) ?? []).filter((tag) => !taken.has(tag)),
      call,
    );
    const added = found.filter((root) => !taken.has(root.tag ?? root.digest));
    for (const root of added) taken.add(root.tag ?? root.digest);
    roots.push(...added);
    fresh = reader.graph(added.map((root) => root.digest)).filter((digest) => !asked.has(digest));
  }
}

async function findAttached(
  reader: ManifestReader,
  subjects: readonly Digest[],
  tagsOf: (subject: Digest) => readonly Tag[],
  call: Call,
): Promise<SourceRoot[]> {
  const referrers = await reader.referrersOf(subjects, call);
  const found: SourceRoot[] = referrers.map(({subject, digest}) => ({
    digest,
    as: 'referrer',
    subject,
  }));
  const queue = new PQueue({concurrency: OBSERVE_CONCURRENCY});
  const tagged = await queue.addAll(
    subjects.flatMap((subject) =>
      tagsOf(subject).map((tag) => async (): Promise<SourceRoot[]> => {
        const digest = await reader.readRoot(tag, call);
        return digest === undefined ? [] : [{tag, digest, as: 'signature', subject}];
      }),
    ),
  );
  return [...found, ...tagged.flat()];
}
