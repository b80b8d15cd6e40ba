import {NO_JOURNAL} from '../apply/journal.ts';
import {byRehashing} from '../apply/proof.ts';
import {repairPlan} from '../apply/repair.ts';
import {verifyCopies} from '../apply/verify-plan.ts';
import {interrupted} from '../model/error.ts';
import type {Shard, VerifyResult} from '../model/outcome.ts';
import type {CopyPlan} from '../model/plan.ts';
import {shardOfPlan} from '../plan/shards.ts';
import {settingsOf} from './apply-plan.ts';
import {redactTexts} from './redaction.ts';
import {announceRegistries, type Session} from './session.ts';

/** How a plan is compared with its destination. */
export interface VerifyOptions {
  /** Read every byte at the destination and hash it. Default: a registry is asked whether it has what is planned. */
  readonly read?: boolean;
  /** Bring what is missing or broken from the source again; the result is what was found after that. */
  readonly repair?: boolean;
  /** Only this part of the plan. */
  readonly shard?: Shard;
}

/**
 * Compares the destination with a plan, digest by digest: what it copies, and what it found there already. Differences
 * are in the result, not thrown.
 * @throws TransshipError what a registry refuses
 */
export async function verifyPlan(
  session: Session,
  plan: CopyPlan,
  options: VerifyOptions = {},
): Promise<VerifyResult> {
  const {shard} = options;
  return await session.run(async () => {
    const part = shard === undefined ? plan : shardOfPlan(plan, shard);
    const result = await verified(session, part, options);
    const compared = shard === undefined ? result : {...result, shard};
    return redactTexts(compared, session.redactor);
  });
}

async function verified(
  session: Session,
  plan: CopyPlan,
  {read, repair}: VerifyOptions,
): Promise<VerifyResult> {
  announceRegistries(session, plan);
  const {places: repositories, report, reading: call, interruption, retry} = session;
  const compare = async (): Promise<VerifyResult> => {
    const proof = read === true ? byRehashing({plan: plan.id, retry, report}) : undefined;
    const result = await verifyCopies(plan, repositories, call, proof);
    const failed = result.differences.length;
    if (proof) report({type: 'run-ended', result: 'done', done: 0, failed, bytes: 0});
    return result;
  };
  const found = await compare();
  if (repair !== true || found.differences.length === 0) return found;
  const context = {repositories, journal: NO_JOURNAL, report, settings: settingsOf({}, retry)};
  const steps = await repairPlan(plan, found.differences, context, interruption);
  if (interruption.stopping.aborted) throw interrupted();
  const failures = steps.flatMap(({id, error}) => (error === undefined ? [] : [{id, error}]));
  return {...(await compare()), repaired: {images: steps.length, failures}};
}
