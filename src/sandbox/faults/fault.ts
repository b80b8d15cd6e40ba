import {z} from '../../model/schema.ts';

const bytes = z.int().nonnegative();
const headers = z.record(z.string(), z.string());

/** A fault of a request. All sizes are bytes of the body, from the first byte of the request. */
const fault = z.discriminatedUnion('kind', [
  /** The connection ends after `after` bytes of the request's body, which are kept. */
  z.strictObject({kind: z.literal('cut-request'), after: bytes}),
  /** The connection ends after `after` bytes of the response's body. */
  z.strictObject({kind: z.literal('cut-answer'), after: bytes}),
  /** The request is carried out, but the connection ends instead of the response. */
  z.strictObject({kind: z.literal('lose-answer')}),
  /** The connection is reset immediately. */
  z.strictObject({kind: z.literal('reset')}),
  /** The body stalls after `after` bytes, until the gate is opened or the client gives up. */
  z.strictObject({
    kind: z.literal('stall'),
    body: z.enum(['request', 'answer']),
    after: bytes,
    gate: z.string(),
  }),
  /** One bit of the response's body is flipped. */
  z.strictObject({kind: z.literal('flip-bit'), at: bytes}),
  /** Answered with an error, after `after` bytes of the request's body. */
  z.strictObject({
    kind: z.literal('refuse'),
    status: z.int().min(400).max(599),
    code: z.string().default('UNKNOWN'),
    after: bytes.default(0),
    headers: headers.default({}),
  }),
  /**
   * Answered with this success or redirect instead of the registry's response, as by a failing load balancer.
   * `carriedOut`: the request is carried out nevertheless.
   */
  z.strictObject({
    kind: z.literal('answer'),
    status: z.int().min(200).max(399),
    text: z.string().default(''),
    headers: headers.default({}),
    carriedOut: z.boolean().default(false),
  }),
  /** The upload is lost, for this request and all later ones. */
  z.strictObject({kind: z.literal('lose-upload')}),
  /** The upload's bytes are received and refused for their digest; the upload is lost. */
  z.strictObject({kind: z.literal('refuse-digest')}),
  /** The response contains an upload offset that is wrong by `by` bytes. */
  z.strictObject({kind: z.literal('wrong-offset'), by: z.int()}),
  /** A mount is answered with an upload (202), although the blob exists. */
  z.strictObject({kind: z.literal('decline-mount')}),
  /** The response's Location is absolute, with https. */
  z.strictObject({kind: z.literal('https-location')}),
  /** A blob is redirected to another origin, with a link that works or has expired. */
  z.strictObject({kind: z.literal('redirect'), expired: z.boolean().default(false)}),
  /** HEAD reports that the blob exists. */
  z.strictObject({kind: z.literal('claim-present')}),
]);

/** A fault, with the requests that it applies to. */
export const faultRule = z.strictObject({
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).optional(),
  /** The resource of the request. `uploads` opens an upload or mounts a blob, `mount` only the latter. */
  about: z
    .enum(['base', 'tags', 'manifest', 'blob', 'uploads', 'mount', 'upload', 'referrers', 'token'])
    .optional(),
  /** A part of the path. */
  path: z.string().optional(),
  /** The number of matching requests before the first one with the fault. */
  skip: bytes.default(0),
  /** The number of requests with the fault. */
  times: z.int().positive().default(1),
  fault,
});

export const faultScript = z.array(faultRule);

export type Fault = z.infer<typeof fault>;
export type FaultRule = z.infer<typeof faultRule>;
/** A rule as it is written, without the defaults. */
export type FaultRuleInput = z.input<typeof faultRule>;
