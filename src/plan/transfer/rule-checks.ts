import {re2} from '../../model/re2.ts';
import type {Check} from '../../model/plan.ts';
import type {TagLimits} from '../../model/port.ts';
import {forbid, pass, warn} from './make-check.ts';
import type {TransferFacts} from './facts.ts';
import {hasContent, movedRules} from './steps.ts';

/** Whether protection rules prevent deleting tags at the old path, or pushing them to the new one. */
export function ruleChecks(facts: TransferFacts): readonly Check[] {
  const found = [...repositoryRules(facts), ...tagRules(facts)];
  // The token of the registry repeats rules that GitLab reports.
  if (!found.some(({code}) => code === 'PROTECTED')) found.push(...tokenLimits(facts));
  return found.length > 0
    ? found
    : [pass('RULES_READY', facts.project.fullPath, 'no protection rule prevents the move')];
}

/** GitLab: doc/api/container_repository_protection_rules.md. They do not apply to administrators. */
function* repositoryRules(facts: TransferFacts) {
  const {rules, repositories, project, token} = facts;
  const moved = new Set(movedRules(facts).map(({from}) => from));
  for (const rule of rules.repositories ?? []) {
    const hit = repositories
      .filter(hasContent)
      .find(({from}) => matchesRule(rule.pattern, pathOf(from)));
    if (hit === undefined) continue;
    const isAbove = (level: number | undefined) =>
      !token.isAdmin && level !== undefined && level > project.accessLevel;
    if (isAbove(rule.delete) || isAbove(rule.push)) {
      yield forbid(
        'PROTECTED',
        hit.from,
        `the protection rule "${rule.pattern}" keeps this token from ${isAbove(rule.delete) ? 'deleting' : 'pushing to'} ${hit.from}`,
        'remove the rule during the move, or use a token that the rule allows',
      );
    } else if (moved.has(rule.pattern)) {
      yield pass(
        'RULE_MOVES',
        hit.from,
        `the protection rule "${rule.pattern}" gets the new path after the move`,
      );
    } else {
      yield warn(
        'RULE_KEEPS_OLD_PATH',
        hit.from,
        `the protection rule "${rule.pattern}" names the old path and will still do so after the move`,
        'change it to the new path in the project settings after the move',
      );
    }
  }
}

/** GitLab: doc/user/packages/container_registry/protected_container_tags.md and immutable_container_tags.md. */
function* tagRules({rules, repositories, project, token, registry}: TransferFacts) {
  if (rules.tags === undefined) {
    // Only a registry with a metadata database protects tags.
    if (registry?.database !== true || registry.tagLimits !== undefined) return;
    yield warn(
      'RULES_NOT_SEEN',
      project.fullPath,
      'this version of GitLab does not report its rules for protected tags',
      'check them in the project settings: a protected tag cannot be deleted, which stops the move halfway',
    );
    return;
  }
  const tags = repositories.flatMap(({from, source}) =>
    source.roots.flatMap(({tag}) => (tag === undefined ? [] : [{from, tag}])),
  );
  for (const {pattern, immutable, push, delete: remove} of rules.tags) {
    const hit = tags.find(({tag}) => matchesTagRule(pattern, tag));
    if (hit === undefined) continue;
    const isAbove = (level: number | undefined) =>
      !token.isAdmin && level !== undefined && level > project.accessLevel;
    if (!immutable && !isAbove(push) && !isAbove(remove)) continue;
    yield forbid(
      'PROTECTED',
      `${hit.from}:${hit.tag}`,
      immutable
        ? `the rule "${pattern}" makes ${hit.from}:${hit.tag} immutable: it cannot be deleted`
        : `the rule "${pattern}" keeps this token from ${isAbove(remove) ? 'deleting' : 'pushing'} ${hit.from}:${hit.tag}`,
      'remove the rule during the move, and create it again afterwards',
    );
  }
}

/**
 * Restrictions in the registry's token, which versions of GitLab without an API for rules send as well (GitLab:
 * `access[].meta`).
 */
function* tokenLimits({registry, repositories}: TransferFacts) {
  const limits = registry?.tagLimits;
  if (limits === undefined) return;
  for (const {from, source} of repositories) {
    for (const {tag} of source.roots) {
      const why = tag === undefined ? undefined : whyLimited(limits, tag);
      if (tag === undefined || why === undefined) continue;
      yield forbid(
        'PROTECTED',
        `${from}:${tag}`,
        `the registry does not let this token move ${from}:${tag}: ${why}`,
        'remove the rule during the move, and create it again afterwards',
      );
      return;
    }
  }
}

/** The name of a repository without the host. */
function pathOf(name: string): string {
  return name.slice(name.indexOf('/') + 1);
}

/** Whether a repository rule applies to this path; `*` matches any characters. */
function matchesRule(pattern: string, path: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 'i').test(path);
}

/**
 * Whether a tag rule may apply to this tag. According to GitLab's user guide patterns are regular expressions,
 * according to its API guide `*` matches any characters; a tag that matches either way counts as protected.
 */
function matchesTagRule(pattern: string, tag: string): boolean {
  // An invalid pattern was meant to protect something.
  return matchesRule(pattern, tag) || re2(pattern)?.(tag) !== false;
}

/** Why a tag with this name cannot be deleted and pushed again; undefined: it can. */
export function whyLimited(
  {push, delete: remove, immutable}: TagLimits,
  tag: string,
): string | undefined {
  const hit = (patterns: readonly string[]) =>
    patterns.find((pattern) => matchesTagRule(pattern, tag));
  const [fixed, kept, closed] = [hit(immutable), hit(remove), hit(push)];
  if (fixed !== undefined) return `the rule "${fixed}" makes it immutable`;
  if (kept !== undefined) return `the rule "${kept}" forbids its deletion`;
  return closed === undefined ? undefined : `the rule "${closed}" forbids pushing it`;
}
