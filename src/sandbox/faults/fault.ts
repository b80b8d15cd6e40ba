import {z} from '../../model/schema.ts';

const bytes = z.int().nonnegative();
const headers = z.record(z.string(), z.string());

/** What goes wrong with a request. All sizes in bytes of the body, counted from the request's own first byte. */
const fault = z.discriminatedUnion('kind', [
  /** The connection ends after so much of the request's body; what came until then is kept. */
  z.strictObject({kind: z.literal('cut-request'), after: bytes}),
  /** The connection ends after so much of the answer's body. */
  z.strictObject({kind: z.literal('cut-answer'), after: bytes}),
  /** The request is carried out and the connection ends in place of the answer. */
  z.strictObject({kind: z.literal('lose-answer')}),
  /** The connection is reset at once. */
  z.strictObject({kind: z.literal('reset')}),
  /** Nothing moves after so much of a body, until the gate is opened or the client gives up. */
  z.strictObject({
    kind: z.literal('stall'),
    body: z.enum(['request', 'answer']),
    after: bytes,
    gate: z.string(),
  }),
  /** One bit of the answer's body is another. */
  z.strictObject({kind: z.literal('flip-bit'), at: bytes}),
  /** Answered with an error, after so much of the request's body (default: none of it). */
  z.strictObject({
    kind: z.literal('refuse'),
    status: z.int().min(400).max(599),
    code: z.string().default('UNKNOWN'),
    after: bytes.default(0),
    headers: headers.default({}),
  }),
  /**
   * Answered with this success or redirect in place of the registry's answer, as load balancers in trouble do.
   * `carriedOut`: the request is carried out all the same.
   */
  z.strictObject({
    kind: z.literal('answer'),
    status: z.int().min(200).max(399),
    text: z.string().default(''),
    headers: headers.default({}),
    carriedOut: z.boolean().default(false),
  }),
  /** The upload is gone, for this request and all later ones. */
  z.strictObject({kind: z.literal('lose-upload')}),
  /** The upload's bytes are taken and found to have another digest; the upload is gone. */
  z.strictObject({kind: z.literal('refuse-digest')}),
  /** The answer names an upload offset that is so many bytes off. */
  z.strictObject({kind: z.literal('wrong-offset'), by: z.int()}),
  /** A mount is answered with an upload (202), although the blob is there. */
  z.strictObject({kind: z.literal('decline-mount')}),
  /** The answer's Location is absolute and on https. */
  z.strictObject({kind: z.literal('https-location')}),
  /** A blob is to be read at another origin, by a link that works or has ended before it is used. */
  z.strictObject({kind: z.literal('redirect'), expired: z.boolean().default(false)}),
  /** HEAD says that the blob is there. */
  z.strictObject({kind: z.literal('claim-present')}),
]);

/** Which requests a fault strikes, and how often. */
export const faultRule = z.strictObject({
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).optional(),
  /** What the request is about. `uploads` opens an upload or mounts a blob, `mount` does the latter. */
  about: z
    .enum(['base', 'tags', 'manifest', 'blob', 'uploads', 'mount', 'upload', 'referrers', 'token'])
    .optional(),
  /** Part of the path. */
  path: z.string().optional(),
  /** So many matching requests pass before the first that is struck. */
  skip: bytes.default(0),
  /** So many are struck. */
  times: z.int().positive().default(1),
  fault,
});

export const faultScript = z.array(faultRule);

export type Fault = z.infer<typeof fault>;
export type FaultRule = z.infer<typeof faultRule>;
/** A rule as it is written, with its defaults left out. */
export type FaultRuleInput = z.input<typeof faultRule>;
