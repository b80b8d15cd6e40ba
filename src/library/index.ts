/**
 * The library: plans, applies and verifies copies of container images, as the commands do. What this module exports is
 * covered by semantic versioning; everything else in the package is not. See docs/library.md.
 */
export {openSession} from './session.ts';
export type {Session, SessionOptions} from './session.ts';
export {planCopy, planMigration} from './plan-copy.ts';
export type {CopyRequest} from './copy-wish.ts';
export type {MigrationRequest} from './plan-copy.ts';
export {applyPlan} from './apply-plan.ts';
export type {ApplyOptions} from './apply-plan.ts';
export {verifyPlan} from './verify-plan.ts';
export type {VerifyOptions} from './verify-plan.ts';
export {readStatus} from './read-status.ts';
export {readPlan, writePlan} from './plan-file.ts';
export {TransshipError} from '../model/error.ts';
export type {Side} from '../model/error.ts';
export type {ErrorCode} from '../model/error-codes.ts';
export type {RunEvent} from '../model/event.ts';
export type {RunResult, StatusResult, VerifyResult} from '../model/outcome.ts';
export type {CopyPlan, WishFilters} from '../model/plan.ts';
export type {Credentials} from '../registry/credentials/credentials.ts';
export type {CredentialRequest, FindCredentials} from '../registry/credentials/store.ts';
export type {GitLabLogin} from './gitlab-access.ts';
