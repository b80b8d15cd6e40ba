import type {RepositoryPath, Tag} from '../../model/reference.ts';
import {jsonReply, type Reply} from '../exchange.ts';
import {isRepositoryPath} from '../names.ts';
import {type ApiCall, ApiRefusal, badRequest} from './api-call.ts';
import {createdAt, deleteTag, type Instance} from './instance.ts';
import {target} from './repositories.ts';
import {ACCESS_LEVEL, isKept, levelInProject} from './rights.ts';
import type {WorldProject} from './world.ts';

const ONCE_PER_MS = 60 * 60 * 1000;

/**
 * `DELETE …/tags?name_regex_delete=…`: in the background, once an hour (GitLab:
 * lib/api/project_container_repositories.rb, app/services/projects/container_repository/cleanup_tags_base_service.rb).
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
    olderThanMs: ageOf(query.get('older_than')),
  };
}

function expression(text: string, name: string): RegExp {
  try {
    return tagExpression(text);
  } catch {
    throw new ApiRefusal(400, {error: `${name} is an invalid regexp`});
  }
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** The tags that a cleanup may delete. */
export interface CleanupWish {
  readonly remove: RegExp;
  readonly keep: RegExp | undefined;
  /** How many of the newest are kept. */
  readonly keepNewest: number;
  /** The minimum age of a tag that is deleted, in ms. Undefined: any. */
  readonly olderThanMs: number | undefined;
}

/** `14d` in ms. */
function ageOf(text: string | null | undefined): number | undefined {
  return text ? Number.parseInt(text, 10) * DAY_MS : undefined;
}

/**
 * RE2, approximately: JavaScript's expressions can do more. GitLab writes `\A…\z` around the text without a group
 * (GitLab: cleanup_tags_base_service.rb, `filter_by_name!`), so each side of `a|b` is anchored at one end only.
 * @throws SyntaxError
 */
function tagExpression(text: string): RegExp {
  return new RegExp(`^${text}$`);
}

/** Tags per page; each page is cleaned up separately (GitLab: gitlab/cleanup_tags_service.rb, `TAGS_PAGE_SIZE`). */
const PAGE_SIZE = 1000;

/**
 * The tags that a cleanup deletes, in GitLab's order of rules (GitLab:
 * doc/user/packages/container_registry/reduce_container_registry_storage.md, "How the cleanup policy works"): never
 * `latest`, and nothing that a protection rule keeps.
 */
async function tagsToClean(
  instance: Instance,
  project: WorldProject,
  path: RepositoryPath,
  {remove, keep, keepNewest, olderThanMs}: CleanupWish,
  level: number,
): Promise<readonly Tag[]> {
  const {storage, clock} = instance;
  const tags = await storage.manifests.tags(path);
  const times = new Map<Tag, number | undefined>();
  for (const tag of tags) times.set(tag, await createdAt(instance, path, tag));
  // A tag without a time counts as new (GitLab: cleanup_tags_base_service.rb, `order_by_date_desc`).
  const age = (tag: Tag) => clock() - (times.get(tag) ?? clock());
  const pages: Tag[][] = [];
  const size = instance.mode === 'metadata-db' ? PAGE_SIZE : tags.length;
  for (let at = 0; at < tags.length; at += size) pages.push(tags.slice(at, at + size));
  return pages.flatMap((page) =>
    page
      .filter((tag) => tag !== 'latest' && remove.test(tag) && !keep?.test(tag))
      .sort((a, b) => age(a) - age(b))
      .slice(keepNewest)
      .filter((tag) => olderThanMs === undefined || age(tag) > olderThanMs)
      .filter((tag) => !isKept(project, tag, level)),
  );
}

/** Runs the cleanup policies of all projects, as GitLab's cron does. */
export async function runCleanup(instance: Instance): Promise<void> {
  const {world} = instance;
  for (const project of world.projects.values()) {
    const {enabled, name_regex, name_regex_keep, keep_n, older_than} = project.cleanupPolicy;
    if (!enabled) continue;
    const keep = name_regex_keep ?? '';
    const wish: CleanupWish = {
      remove: tagExpression(name_regex ?? ''),
      keep: keep === '' ? undefined : tagExpression(keep),
      keepNewest: keep_n ?? 0,
      olderThanMs: ageOf(older_than),
    };
    for (const record of world.repositoriesOf(project)) {
      const path = world.repositoryPath(record);
      if (!isRepositoryPath(path)) continue;
      // The policy has no access level, so every rule applies.
      for (const tag of await tagsToClean(instance, project, path, wish, 0))
        await deleteTag(instance, path, tag, 'cleanup-policy');
    }
  }
}
