import {z} from '../model/schema.ts';
import {isDigest} from '../model/digest.ts';
import {isTag} from '../model/reference.ts';

const digest = z.string().refine(isDigest, {error: 'not a digest'});
const tag = z.string().refine(isTag, {error: 'not a tag'});
const policy = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
const errorData = z.object({
  code: z.string(),
  side: z.enum(['source', 'destination', 'gitlab', 'local']),
  message: z.string(),
  hint: z.string(),
});
/** One line of the journal. A line is only ever added; the latest word on a thing counts. */
export const journalEntry = z.discriminatedUnion('type', [
  /** A run of `apply` began. The first line of a journal says whose it is. */
  z.object({
    type: z.literal('run'),
    plan: digest,
    at: z.iso.datetime(),
    /** Of a transfer: what others need to know to find it, and to name the commands that work. */
    transfer: z
      .object({
        gitlab: z.string(),
        project: z.int().positive(),
        from: z.string(),
        to: z.string(),
        donor: z.string(),
        planFile: z.string(),
      })
      .optional(),
  }),
  /** Where an upload stands: enough to go on with it in another process. */
  z.object({
    type: z.literal('upload'),
    digest,
    to: z.string(),
    location: z.string(),
    offset: z.int().nonnegative(),
    minChunk: z.int().positive().optional(),
  }),
  z.object({
    type: z.literal('blob'),
    digest,
    to: z.string(),
    outcome: z.enum(['copied', 'mounted', 'present']),
  }),
  z.object({
    type: z.literal('step'),
    id: z.string(),
    outcome: z.enum(['done', 'present', 'failed', 'blocked']),
    error: errorData.optional(),
  }),
  /**
   * A tag at the old path of a transfer is about to be deleted; written before it is. Or, where that journal is lost: it
   * is gone, and the donor has it.
   */
  z.object({type: z.literal('delete'), repository: z.string(), tag, digest}),
  /** It was not deleted after all, or is there again. */
  z.object({type: z.literal('kept'), repository: z.string(), tag}),
  /** The cleanup policy of a project, the one that moves or its donor, is about to be switched off; as it was before. */
  z.object({type: z.literal('pause'), project: z.int().positive(), policy}),
  /** It was put back as it was, or somebody switched it on. */
  z.object({type: z.literal('resume'), project: z.int().positive()}),
  /** A tag that came or moved after planning is taken along. */
  z.object({type: z.literal('adopt'), repository: z.string(), tag}),
  /**
   * What this plan makes for its donor: only that is ever removed. Written before it is made; of a project once more
   * with its id. `place` is a folder or a layout as the plan names them, or the full path of the project.
   */
  z.object({
    type: z.literal('made'),
    what: z.enum(['folder', 'project']),
    place: z.string(),
    /** What the project's description ends with: it tells whose it is where the answer with its id got lost. */
    mark: z.string().optional(),
    id: z.int().positive().optional(),
  }),
  /** What follows takes the transfer back: what the steps before did no longer counts. */
  z.object({type: z.literal('rollback')}),
  z.object({
    type: z.literal('end'),
    result: z.enum(['done', 'incomplete', 'failed', 'interrupted', 'drift']),
    at: z.iso.datetime(),
  }),
]);

export type JournalEntry = z.infer<typeof journalEntry>;

/** What the steps of a transfer go by, beside what they find. */
export type TransferEntry = Exclude<JournalEntry, {type: 'upload' | 'blob' | 'step'}>;

export function isTransferEntry(entry: JournalEntry): entry is TransferEntry {
  return !['upload', 'blob', 'step'].includes(entry.type);
}
