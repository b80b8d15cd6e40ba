import {ACCESS_LEVEL} from '../../gitlab/access-level.ts';
import {jsonReply, type Reply} from '../reply.ts';
import type {ApiCall} from './api-call.ts';
import {ApiRefusal, badRequest} from './api-refusal.ts';
import {deleteTag} from './instance.ts';
import {isKept, target} from './repository-api.ts';
import {levelInProject} from './rights.ts';

const ONCE_PER_MS = 60 * 60 * 1000;

/**
 * `DELETE …/tags?name_regex_delete=…`: later, once an hour, and never `latest` (GitLab:
 * lib/api/project_container_repositories.rb, app/services/projects/container_repository/cleanup_tags_base_service.rb).
 * `older_than` deletes nothing here: all that is in the sandbox is new.
 */
export async function removeTags(call: ApiCall): Promise<Reply> {
  const {query, person, world, storage, clock, background, switches} = call;
  const {project, record, path} = target(call, ACCESS_LEVEL.maintainer);
  const remove = expression(query.get('name_regex_delete') ?? query.get('name_regex'));
  const keep = query.get('name_regex_keep');
  const keepPattern = keep === null ? undefined : expression(keep);
  if (!remove) throw new ApiRefusal(400, {error: 'name_regex_delete is missing'});
  const now = clock();
  if (record.lastBulkDelete !== undefined && now - record.lastBulkDelete < ONCE_PER_MS) {
    throw badRequest(
      'This request has already been made. You can run this at most once an hour for a given container repository',
    );
  }
  record.lastBulkDelete = now;
  const level = levelInProject(world, person.user, project);
  background.later(switches.deletionDelayMs, async () => {
    if (path === undefined || query.has('older_than')) return;
    const tags = await storage.manifests.tags(path);
    const chosen = tags
      .filter((tag) => tag !== 'latest' && remove.test(tag) && !keepPattern?.test(tag))
      .filter((tag) => !isKept(project, tag, level));
    const kept = Number(query.get('keep_n') ?? 0);
    for (const tag of kept === 0 ? chosen : chosen.slice(0, -kept))
      await deleteTag(call, path, tag, person.user.username);
  });
  return jsonReply(202, 202);
}

/** RE2 that matches the whole name, nearly: JavaScript's expressions know more. */
function expression(text: string | null): RegExp | undefined {
  if (text === null) return undefined;
  try {
    return new RegExp(`^(?:${text})$`);
  } catch {
    throw new ApiRefusal(400, {error: 'name_regex_delete is an invalid regexp'});
  }
}
