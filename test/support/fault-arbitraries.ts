import * as fc from 'fast-check';
import type {Fault, FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {KiB} from './transfer-rig.ts';

/** Sizes of chunks and parts on either side of `LARGE_BODY` (src/http/request.ts), in bytes. */
export const pieceSizes = fc.constantFrom(64 * KiB, 300 * KiB);

/** Sizes of blobs around those of pieces. */
export function sizesAround(piece: number): fc.Arbitrary<number> {
  return fc.constantFrom(0, 1, 5_000, piece - 1, piece, piece + 1, 3 * piece + 17);
}

const bytes = fc.oneof(fc.nat(2_000), fc.nat(128 * KiB), fc.nat(600 * KiB), pieceSizes);
const status = fc.constantFrom(401, 403, 404, 408, 413, 416, 429, 500, 502, 503, 504);
const offset = {min: -64 * KiB, max: 64 * KiB};

/** In what a destination may differ that matters to uploads. */
export const flavours = fc.record({
  losesCutUploads: fc.boolean(),
  minChunk: fc.constantFrom(0, 100 * KiB),
});

/** What can go wrong with any request, by its kind. */
const general = {
  'cut-request': bytes.map((after) => ({kind: 'cut-request', after}) as const),
  'cut-answer': bytes.map((after) => ({kind: 'cut-answer', after}) as const),
  'lose-answer': fc.constant({kind: 'lose-answer'} as const),
  reset: fc.constant({kind: 'reset'} as const),
  stall: fc.record({
    kind: fc.constant('stall' as const),
    body: fc.constantFrom('request' as const, 'answer' as const),
    after: bytes,
    gate: fc.constant('never'),
  }),
  'flip-bit': bytes.map((at) => ({kind: 'flip-bit', at}) as const),
  refuse: fc.record({kind: fc.constant('refuse' as const), status, after: bytes}),
  answer: fc.record({
    kind: fc.constant('answer' as const),
    status: fc.constantFrom(200, 201, 202, 302),
    text: fc.constantFrom('', 'alive'),
    carriedOut: fc.boolean(),
  }),
};

/** What can go wrong with requests of one kind only. */
const special = {
  'lose-upload': fc.constant({kind: 'lose-upload'} as const),
  'refuse-digest': fc.constant({kind: 'refuse-digest'} as const),
  'wrong-offset': fc.integer(offset).map((by) => ({kind: 'wrong-offset', by}) as const),
  'decline-mount': fc.constant({kind: 'decline-mount'} as const),
  redirect: fc.boolean().map((expired) => ({kind: 'redirect', expired}) as const),
  'claim-present': fc.constant({kind: 'claim-present'} as const),
};

// That an upload moves to https ends each run the same way.
type Kind = Exclude<Fault['kind'], 'https-location'>;
const all = {...general, ...special} satisfies Record<Kind, fc.Arbitrary<FaultRuleInput['fault']>>;

/** The kinds that `faultRules` has. */
export const FAULT_KINDS: readonly string[] = Object.keys(all);

const times = fc.integer({min: 1, max: 8});
const method = fc.constantFrom('GET' as const, 'POST' as const, 'PUT' as const, 'PATCH' as const);
const generalRule = fc.record({
  method: fc.option(method, {nil: undefined}),
  skip: fc.nat(12),
  times,
  fault: fc.oneof(...Object.values(general)),
});
const specialRule = fc.record({
  skip: fc.nat(3),
  times,
  fault: fc.oneof(...Object.values(special)),
});

/** A host that wants to be left alone for a second: rare, since it takes that long. */
const pause = fc.record({
  skip: fc.nat(12),
  times: fc.constant(1),
  fault: fc.record({
    kind: fc.constant('refuse' as const),
    status: fc.constantFrom(429, 503),
    headers: fc.constant({'retry-after': '1'}),
  }),
});

/** Rules for one side of a run. */
export const faultRules: fc.Arbitrary<readonly FaultRuleInput[]> = fc.array(
  fc.oneof(
    {weight: 20, arbitrary: generalRule},
    {weight: 20, arbitrary: specialRule},
    {weight: 1, arbitrary: pause},
  ),
  {maxLength: 6},
);
