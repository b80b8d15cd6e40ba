import type {TransferPlan} from '../../model/transfer-plan.ts';
import type {TransferFacts} from './facts.ts';

/** More repositories than that GitLab's registry does not move by itself (GitLab: docs/spec/gitlab/api.md). */
const NATIVE_LIMIT = 1000;

/**
 * How the images get to the new path. The registry moves them itself if it has a metadata database and the project
 * stays below its top-level group (GitLab: app/services/projects/transfer_service.rb); whether it has the Redis that
 * this takes, too, nobody can see beforehand: GitLab refuses then, with nothing changed.
 */
export function wayOf({
  project,
  target,
  registry,
  repositories,
  staged,
}: TransferFacts): TransferPlan['way'] {
  const tagged = repositories.filter(hasContent);
  if (tagged.length === 0) return 'empty';
  const isNear = rootOf(project.fullPath) === rootOf(target.fullPath);
  const isNative =
    registry?.database === true && isNear && repositories.length <= NATIVE_LIMIT && !staged;
  return isNative ? 'native' : 'staged';
}

/** Whether there is anything in a repository that keeps its project from moving. */
export function hasContent({source}: TransferFacts['repositories'][number]): boolean {
  return (
    source.roots.length > 0 || source.notRead.length > 0 || (source.unreadable ?? []).length > 0
  );
}

/** The top-level group or the user, to be compared. */
export function rootOf(fullPath: string): string {
  return (fullPath.split('/')[0] ?? '').toLowerCase();
}
