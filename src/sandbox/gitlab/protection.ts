import {z} from '../../model/schema.ts';
import {emptyReply, jsonReply, type Reply} from '../exchange.ts';
import {
  type ApiCall,
  type ApiHandler,
  ApiRefusal,
  bodyOf,
  maintainedProjectOf,
  notFound,
} from './api-call.ts';
import {presentRule} from './entities.ts';
import {ACCESS_LEVEL} from './rights.ts';
import type {WorldProject, WorldRule} from './world.ts';

/** GitLab: doc/user/packages/container_registry/protected_container_tags.md. */
const TAG_RULE_LIMIT = 5;

const level = z
  .enum(['maintainer', 'owner', 'admin', ''])
  .nullish()
  .transform((name) => (name ? ACCESS_LEVEL[name] : undefined));
const levelsSchema = z.object({
  minimum_access_level_for_push: level,
  minimum_access_level_for_delete: level,
});
const fieldsSchema = z.record(z.string(), z.unknown());

interface RuleKind {
  readonly field: 'repository_path_pattern' | 'tag_name_pattern';
  readonly rulesOf: (project: WorldProject) => WorldRule[];
  /** Why a rule cannot be created, apart from its fields. */
  readonly whyNot: (call: ApiCall, rules: readonly WorldRule[]) => string | undefined;
  /** The body of the refusal of an invalid rule. */
  readonly refusal: (messages: readonly string[]) => object;
}

/** GitLab: lib/api/project_container_registry_protection_rules.rb, since 17.2. */
export const repositoryRules = ruleHandlers({
  field: 'repository_path_pattern',
  rulesOf: ({repositoryRules: rules}) => rules,
  whyNot: () => undefined,
  refusal: (messages) => ({message: {error: messages}}),
});

/**
 * GitLab: lib/api/project_container_registry_protection_tag_rules.rb, since 18.7;
 * app/services/container_registry/protection/create_tag_rule_service.rb. They need the database.
 */
export const tagRules = ruleHandlers({
  field: 'tag_name_pattern',
  rulesOf: ({tagRules: rules}) => rules,
  whyNot: ({mode}, rules) => {
    if (rules.length >= TAG_RULE_LIMIT)
      return 'Maximum number of protection rules have been reached.';
    return mode === 'legacy' ? 'GitLab container registry API not supported' : undefined;
  },
  refusal: (messages) => ({message: messages}),
});

function ruleHandlers(kind: RuleKind): Record<'list' | 'create' | 'update' | 'remove', ApiHandler> {
  const {field, rulesOf} = kind;
  const ruleFor = (call: ApiCall, project: WorldProject) => {
    const rule = rulesOf(project).find(({id}) => id === Number(call.params['rule']));
    if (!rule) throw notFound();
    return rule;
  };
  return {
    list: (call) => {
      const project = maintainedProjectOf(call);
      return jsonReply(
        200,
        rulesOf(project).map((rule) => presentRule(project, rule, field)),
      );
    },
    create: (call) => {
      const project = maintainedProjectOf(call);
      const wish = bodyOf(call, levelsSchema);
      const rules = rulesOf(project);
      const name = bodyOf(call, fieldsSchema)[field];
      if (typeof name !== 'string' || name === '')
        throw new ApiRefusal(400, {error: `${field} is missing`});
      const why = kind.whyNot(call, rules);
      if (why !== undefined) throw new ApiRefusal(422, {message: why});
      if (rules.some((rule) => rule.pattern === name))
        throw new ApiRefusal(422, kind.refusal([`${titleOf(field)} has already been taken`]));
      const {minimum_access_level_for_push: push, minimum_access_level_for_delete: remove} = wish;
      const rule: WorldRule = {id: call.world.nextId(), pattern: name, push, delete: remove};
      rules.push(rule);
      return jsonReply(201, presentRule(project, rule, field));
    },
    update: (call) => {
      const project = maintainedProjectOf(call);
      const rule = ruleFor(call, project);
      const wish = bodyOf(call, levelsSchema);
      const {minimum_access_level_for_push: push, minimum_access_level_for_delete: remove} = wish;
      const given = bodyOf(call, fieldsSchema);
      const name = given[field];
      if (typeof name === 'string') rule.pattern = name;
      if ('minimum_access_level_for_push' in given) rule.push = push;
      if ('minimum_access_level_for_delete' in given) rule.delete = remove;
      return jsonReply(200, presentRule(project, rule, field));
    },
    remove: (call): Reply => {
      const project = maintainedProjectOf(call);
      const rules = rulesOf(project);
      rules.splice(rules.indexOf(ruleFor(call, project)), 1);
      return emptyReply(204);
    },
  };
}

/** `Repository path pattern`: the name of a field in messages of Rails. */
function titleOf(field: string): string {
  const words = field.replaceAll('_', ' ');
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
}
