import * as fc from 'fast-check';
import {expect, it} from 'vitest';
import {TransshipError} from '../../src/model/error.ts';
import type {RunResult} from '../../src/model/outcome.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {CopyRig, scriptOf} from '../support/copy-rig.ts';
import {
  FAULT_KINDS,
  faultRules,
  flavours,
  pieceSizes,
  sizesAround,
} from '../support/fault-arbitraries.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {TransferRig} from '../support/transfer-rig.ts';

/** The same cases each time; another number here, or in a failure's report, gives others. */
const SEED = 20_261_121;
const FROM = 'from/app' as RepositoryPath;
/** The second mounts what the first gets. */
const TO = ['to/app' as RepositoryPath, 'to/other' as RepositoryPath];
/** A run that takes longer hangs, in ms. */
const PATIENCE = 20_000;
const TIMEOUTS = {connectMs: 1_000, headersMs: 200, bodyIdleMs: 200};

/** Images by the indices of their layers, and the size of chunks. */
const work = pieceSizes.chain((chunk) =>
  fc.record({
    chunk: fc.constant(chunk),
    layers: fc.array(sizesAround(chunk), {minLength: 1, maxLength: 5}),
    images: fc.array(fc.array(fc.nat(4), {minLength: 1, maxLength: 3}), {
      minLength: 1,
      maxLength: 3,
    }),
  }),
);

it('a copy completes or ends with a code under any faults, and completes without them', async () => {
  const injected = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      work,
      fc.array(fc.record({source: faultRules, destination: faultRules}), {
        minLength: 1,
        maxLength: 3,
      }),
      flavours,
      async ({chunk, layers, images}, runs, flavour) => {
        await using rig = await CopyRig.start(flavour);
        const blobs = layers.map(someBytes);
        for (const [at, picks] of images.entries()) {
          const picked = picks.map((pick) => blobs[pick % blobs.length] ?? Buffer.of());
          await storeImage(rig.source.storage, FROM, `v${at}`, picked);
        }
        const settings = {chunk: {min: chunk, max: chunk}};
        const plan = await rig.plan(FROM, ...TO);
        for (const rules of runs) {
          const aborted = AbortSignal.timeout(PATIENCE);
          const [source, destination] = [scriptOf(rules.source), scriptOf(rules.destination)];
          const ended = await rig
            .apply(plan, {source, destination, timeouts: TIMEOUTS, aborted, settings})
            .catch((error: unknown) => error);
          for (const {rule} of [...source.injected, ...destination.injected])
            injected.add(rule.fault.kind);
          expect(aborted.aborted).toBe(false);
          expect(isDescribed(ended)).toBe(true);
          expect(JSON.stringify(ended)).not.toContain('INTERNAL');
          expect(await rig.problems()).toEqual([]);
        }
        const last = await rig.apply(plan, {settings});
        expect(last).toMatchObject({result: 'done'});
        expect(await rig.problems()).toEqual([]);
        for (const path of TO)
          expect(await rig.destination.storage.manifests.tags(path)).toHaveLength(images.length);
      },
    ),
    {seed: SEED, numRuns: 40},
  );
  expect(injected).toEqual(new Set(FAULT_KINDS));
}, 120_000);

const blobCases = fc.record({chunk: pieceSizes, part: pieceSizes}).chain(({chunk, part}) =>
  fc.record({
    chunk: fc.constant(chunk),
    part: fc.constant(part),
    size: fc.oneof(sizesAround(chunk), sizesAround(part)),
  }),
);

it('a blob, in chunks and parts of any size, completes or ends with a code under any faults', async () => {
  await fc.assert(
    fc.asyncProperty(
      blobCases,
      faultRules,
      faultRules,
      flavours,
      async ({size, ...sizes}, source, destination, flavour) => {
        const options = {source, destination, sandbox: {flavour}, timeouts: TIMEOUTS, ...sizes};
        await using rig = await TransferRig.start(options);
        const blob = await rig.blob(size);
        const signal = AbortSignal.timeout(PATIENCE);
        const failure = await rig.transfer(blob, {signal}).then(
          () => undefined,
          (error: unknown) => error,
        );
        expect(signal.aborted).toBe(false);
        expect(failure === undefined || failure instanceof TransshipError).toBe(true);
        expect(failure).not.toMatchObject({code: 'INTERNAL'});
        const kept = await rig.kept(blob);
        expect([undefined, blob.digest]).toContain(kept);
        // A registry that lies about a blob is found out when the manifest is put.
        const isLie = rig.destinationFaults.injected.some(
          ({rule, method}) => rule.fault.kind === 'claim-present' || method === 'HEAD',
        );
        expect(failure !== undefined || kept !== undefined || isLie).toBe(true);
      },
    ),
    {seed: SEED, numRuns: 40},
  );
}, 120_000);

/** A run's result, or an error with a code. */
function isDescribed(ended: unknown): boolean {
  if (ended instanceof Error) return ended instanceof TransshipError;
  return ['done', 'failed', 'drift'].includes((ended as RunResult).result);
}
