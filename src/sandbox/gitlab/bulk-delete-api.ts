import {ACCESS_LEVEL} from '../../gitlab/access-level.ts';
import {jsonReply, type Reply} from '../reply.ts';
import type {ApiCall} from './api-call.ts';
import {ApiRefusal, badRequest} from './api-refusal.ts';
import {ageOf, type CleanupWish, tagExpression, tagsToClean} from './cleanup.ts';
import {deleteTag} from './instance.ts';
import {target} from './repository-api.ts';
import {levelInProject} from './rights.ts';

const ONCE_PER_MS = 60 * 60 * 1000;

/**
 * `DELETE …/tags?name_regex_delete=…`: later, and once an hour (GitLab: lib/api/project_container_repositories.rb,
 * app/services/projects/container_repository/cleanup_tags_base_service.rb).
 */
export async function removeTags(call: ApiCall): Promise<Reply> {
  const {query, person, world, clock, background, switches} = call;
  const {project, record, path} = target(call, ACCESS_LEVEL.maintainer);
  const wish = wishOf(query);
  const now = clock();
  if (record.lastBulkDelete !== undefined && now - record.lastBulkDelete < ONCE_PER_MS) {
    throw badRequest(
      'This request has already been made. You can run this at most once an hour for a given container repository',
    );
  }
  record.lastBulkDelete = now;
  const level = levelInProject(world, person.user, project);
  background.later(switches.deletionDelayMs, async () => {
    if (path === undefined) return;
    for (const tag of await tagsToClean(call, project, path, wish, level))
      await deleteTag(call, path, tag, person.user.username);
  });
  return jsonReply(202, 202);
}

function wishOf(query: URLSearchParams): CleanupWish {
  const remove = query.get('name_regex_delete') ?? query.get('name_regex');
  const keep = query.get('name_regex_keep');
  if (remove === null) throw new ApiRefusal(400, {error: 'name_regex_delete is missing'});
  return {
    remove: expression(remove, 'name_regex_delete'),
    keep: keep === null ? undefined : expression(keep, 'name_regex_keep'),
    keepNewest: Number(query.get('keep_n') ?? 0),
    olderThanMs: ageOf(query.get('older_than') ?? undefined),
  };
}

function expression(text: string, name: string): RegExp {
  try {
    return tagExpression(text);
  } catch {
    throw new ApiRefusal(400, {error: `${name} is an invalid regexp`});
  }
}
