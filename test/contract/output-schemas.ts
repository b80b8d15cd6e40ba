import {z} from 'zod';
import type {HttpEvent} from '../../src/http/exchange.ts';
import {ERROR_CODES, type ErrorCode} from '../../src/model/error-codes.ts';
import type {RunEvent} from '../../src/model/event.ts';
import type {RunResult, StatusResult, VerifyResult} from '../../src/model/outcome.ts';

/**
 * What `--format json` and `--progress json` print, field by field. The published schemas are made of these; that they
 * are the types of the code, no more and no less, is checked by the compiler at the end.
 */

const codes = Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]];

const digest = z.string().regex(/^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-zA-Z=_-]+$/);
const count = z.int().nonnegative();
const time = z.iso.datetime();
const side = z.enum(['source', 'destination', 'gitlab', 'local']);
const error = z.strictObject({
  code: z.enum(codes),
  side,
  retry: z.boolean(),
  message: z.string(),
  hint: z.string(),
});
const journaledError = error.extend({code: z.string()});
const runEnd = z.enum(['done', 'incomplete', 'failed', 'interrupted', 'drift']);
const limit = z.enum(['MAX_BYTES_REACHED', 'MAX_DURATION_REACHED', 'MAX_DELETES_REACHED']);
const outcome = z.enum(['done', 'present', 'failed', 'blocked', 'interrupted', 'not-started']);
const shard = z.strictObject({index: z.int().positive(), total: z.int().positive()});
const phase = z.enum(['create', 'copy', 'delete']);
const project = {id: z.int().positive(), from: z.string(), to: z.string()};
const standing = z.strictObject({
  project: z.enum(['before', 'between', 'after']),
  images: z.strictObject({total: count, old: count, donor: count, target: count}),
  donor: z.string(),
  isPaused: z.boolean(),
  next: z.array(z.string()),
});
const place = z.enum(['before', 'between', 'after']);

export const runSchema = z.strictObject({
  plan: digest,
  began: time.optional(),
  ended: time.optional(),
  shard: shard.optional(),
  phase: phase.optional(),
  result: runEnd,
  limit: limit.optional(),
  steps: z.array(
    z.strictObject({
      id: z.string(),
      outcome,
      durationMs: count.optional(),
      error: error.optional(),
    }),
  ),
  bytes: z.strictObject({sent: count}),
  blobs: z.strictObject({copied: count, mounted: count, present: count}),
  drift: z
    .array(
      z.strictObject({
        side: z.enum(['source', 'destination']),
        repository: z.string(),
        tag: z.string(),
        planned: digest.nullable(),
        actual: digest.nullable(),
      }),
    )
    .optional(),
  projects: z
    .array(
      z.strictObject({
        ...project,
        result: z.enum([...runEnd.options, 'not-started']),
        error: error.optional(),
        standing: standing.optional(),
      }),
    )
    .optional(),
  groups: z
    .array(
      z.strictObject({
        ...project,
        result: z.enum([...runEnd.options, 'not-started']),
        error: error.optional(),
        group: place.optional(),
      }),
    )
    .optional(),
});

export const verifySchema = z.strictObject({
  plan: digest,
  shard: shard.optional(),
  checked: z.strictObject({tags: count, manifests: count, blobs: count}),
  differences: z.array(
    z.strictObject({
      what: z.enum(['tag', 'manifest', 'blob']),
      repository: z.string(),
      tag: z.string().optional(),
      digest,
      actual: digest.nullable(),
    }),
  ),
  repaired: z
    .strictObject({images: count, failures: z.array(z.strictObject({id: z.string(), error}))})
    .optional(),
  projects: z
    .array(
      z.strictObject({
        ...project,
        place: z.enum(['old', 'donor', 'target']),
        at: z.string(),
        project: z.enum(['before', 'between', 'after']),
        adopted: count,
      }),
    )
    .optional(),
});

export const statusSchema = z.strictObject({
  plan: digest,
  shard: shard.optional(),
  unit: z.enum(['image', 'step']),
  steps: z.strictObject({done: count, failed: count, left: count, partly: count, total: count}),
  failures: z.array(
    z.strictObject({
      id: z.string(),
      image: z.string().optional(),
      error: journaledError.optional(),
    }),
  ),
  bytes: z.strictObject({done: count, total: count}),
  uploads: z.array(z.strictObject({digest, to: z.string(), offset: count, size: count})),
  ended: runEnd.optional(),
  journals: z
    .array(
      z.strictObject({
        file: z.string(),
        began: time.optional(),
        ended: runEnd.optional(),
        endedAt: time.optional(),
        done: count,
        failed: count,
      }),
    )
    .optional(),
  projects: z
    .array(z.strictObject({...project, ended: runEnd.optional(), standing: standing.optional()}))
    .optional(),
  groups: z.array(z.strictObject({...project, group: place})).optional(),
});

const at = {at: time};
const blob = {...at, digest, to: z.string(), size: count};
const images = count.optional();
const headers = z.record(z.string(), z.string());

/** A line of `--progress json`. */
export const eventSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('run-started'),
    ...at,
    plan: digest,
    steps: count,
    images,
    blobs: count,
    bytes: count,
  }),
  z.strictObject({
    type: z.literal('project-started'),
    ...at,
    from: z.string(),
    to: z.string(),
    number: count,
    of: count,
  }),
  z.strictObject({
    type: z.literal('project-ended'),
    ...at,
    from: z.string(),
    result: runEnd,
    error: error.optional(),
  }),
  z.strictObject({
    type: z.literal('observing'),
    ...at,
    what: z.string(),
    done: count,
    total: count,
    unit: z.literal('repositories').optional(),
  }),
  z.strictObject({type: z.literal('step-started'), ...at, step: z.string(), images}),
  z.strictObject({
    type: z.literal('step-ended'),
    ...at,
    step: z.string(),
    outcome,
    images,
    isBeside: z.literal(true).optional(),
    error: error.optional(),
  }),
  z.strictObject({type: z.literal('blob-started'), ...blob, image: z.string().optional()}),
  z.strictObject({type: z.literal('blob-progress'), ...blob, acknowledged: count, sent: images}),
  z.strictObject({
    type: z.literal('blob-ended'),
    ...blob,
    outcome: z.enum(['copied', 'mounted', 'present', 'failed']),
  }),
  z.strictObject({
    type: z.literal('retrying'),
    ...at,
    what: z.string(),
    attempt: count,
    delayMs: z.number().nonnegative(),
    isAsked: z.literal(true).optional(),
    error,
  }),
  z.strictObject({type: z.literal('notice'), ...at, code: z.string(), message: z.string()}),
  z.strictObject({
    type: z.literal('run-ended'),
    ...at,
    result: runEnd,
    limit: limit.optional(),
    done: count,
    failed: count,
    bytes: count,
  }),
  z.strictObject({
    type: z.literal('error'),
    ...at,
    error: error.extend({
      problems: z
        .array(
          z.strictObject({
            file: z.string(),
            line: count.optional(),
            column: count.optional(),
            message: z.string(),
          }),
        )
        .optional(),
    }),
    trace: z.array(z.string()).optional(),
  }),
  z.strictObject({
    type: z.literal('http-request'),
    ...at,
    id: count,
    method: z.string(),
    url: z.string(),
    proxy: z.string().optional(),
    headers,
  }),
  z.strictObject({
    type: z.literal('http-response'),
    ...at,
    id: count,
    status: count,
    afterMs: count,
    address: z.string().optional(),
    isNew: z.boolean().optional(),
    headers,
  }),
  z.strictObject({
    type: z.literal('http-end'),
    ...at,
    id: count,
    bytes: count,
    afterMs: count,
    body: z.string().optional(),
    isCut: z.literal(true).optional(),
    error: z.string().optional(),
  }),
  z.strictObject({
    type: z.literal('http-retry'),
    ...at,
    method: z.string(),
    url: z.string(),
    attempt: count,
    delayMs: count,
    reason: z.string(),
  }),
]);

/** Fields of one that the other lacks. */
type Missing<A, B> = Exclude<keyof A, keyof B>;
/** Nothing, where both have the same fields; else an error of the compiler names them. */
type Same<A, B> = Missing<A, B> | Missing<B, A>;
type EventOf<E, T> = Extract<E, {type: T}>;
type AnyEvent = RunEvent | HttpEvent;
type EventFields = {
  [T in AnyEvent['type']]: Same<
    Omit<EventOf<z.infer<typeof eventSchema>, T>, 'at'>,
    EventOf<AnyEvent, T>
  >;
}[AnyEvent['type']];

export interface FieldsThatDiffer {
  readonly run: Same<z.infer<typeof runSchema>, RunResult>;
  readonly verify: Same<z.infer<typeof verifySchema>, VerifyResult>;
  readonly status: Same<z.infer<typeof statusSchema>, StatusResult>;
  readonly step: Same<z.infer<typeof runSchema>['steps'][number], RunResult['steps'][number]>;
  readonly events: Exclude<AnyEvent['type'], z.infer<typeof eventSchema>['type']>;
  readonly event: EventFields;
}
