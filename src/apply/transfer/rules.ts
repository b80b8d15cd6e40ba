import {ACCESS_LEVEL} from '../../gitlab/entities.ts';
import {registryPathOf} from '../../model/gitlab-naming.ts';
import type {MovedRule, ProjectMove} from '../../model/transfer-plan.ts';
import {DONE, PRESENT, type StepEnd, type TransferRun} from './transfer-run.ts';

/**
 * Prevents everybody except owners from pushing to the old path. The plan contains patterns that had no rule, so rules
 * with these patterns were created by an earlier run.
 */
export async function freeze(
  {project: {id}}: ProjectMove,
  patterns: readonly string[],
  {context, call, progress}: TransferRun,
): Promise<StepEnd> {
  if (progress.where !== 'before') return PRESENT;
  const {protection} = context.gitlab;
  const found = new Set(((await protection.ofRepositories(id, call)) ?? []).map(patternOf));
  const left = patterns.filter((pattern) => !found.has(pattern));
  for (const pattern of left) await protection.createRepositoryRule(id, pattern, call);
  return left.length > 0 ? DONE : PRESENT;
}

/**
 * Removes the rules of `freeze` at both paths, because a killed run may have moved in the other direction. A rule with
 * other settings belongs to somebody else.
 */
export async function unfreeze(
  {project: {id, from, to}, steps}: ProjectMove,
  {context, call}: Pick<TransferRun, 'context' | 'call'>,
): Promise<StepEnd> {
  const {protection} = context.gitlab;
  const [one, other] = [registryPathOf(from), registryPathOf(to)];
  const own = steps.flatMap((step) => (step.kind === 'freeze' ? step.patterns : []));
  const patterns = new Set(own.flatMap((pattern) => [pattern, other + pattern.slice(one.length)]));
  const ours = ((await protection.ofRepositories(id, call)) ?? []).filter(
    (rule) =>
      patterns.has(patternOf(rule)) &&
      rule.push === ACCESS_LEVEL.owner &&
      rule.delete === undefined,
  );
  for (const rule of ours) await protection.removeRepositoryRule(id, rule.id, call);
  return ours.length > 0 ? DONE : PRESENT;
}

function patternOf({pattern}: {readonly pattern: string}): string {
  return pattern.toLowerCase();
}

/** Rules that were changed or deleted since planning are not touched. */
export async function moveRules(
  {project: {id}}: ProjectMove,
  planned: readonly MovedRule[],
  {context, call}: TransferRun,
): Promise<StepEnd> {
  const {protection} = context.gitlab;
  const found = new Map(
    ((await protection.ofRepositories(id, call)) ?? []).map((rule) => [rule.id, rule.pattern]),
  );
  const left = planned.filter((rule) => found.get(rule.id) === rule.from);
  for (const rule of left) await protection.moveRepositoryRule(id, rule.id, rule.to, call);
  return left.length > 0 ? DONE : PRESENT;
}

/** Reports rules that still protect the old path, and that the plan neither moves nor removes. */
export async function tellOldRules(move: ProjectMove, {context, call}: TransferRun): Promise<void> {
  const {id, from, to} = move.project;
  const planned = new Set(
    move.steps.flatMap((step) =>
      step.kind === 'move-rules' ? step.rules.map((rule) => rule.id) : [],
    ),
  );
  const frozen = new Set(
    move.steps.flatMap((step) => (step.kind === 'freeze' ? step.patterns : [])),
  );
  const old = registryPathOf(from);
  const rules = (await context.gitlab.protection.ofRepositories(id, call)) ?? [];
  for (const {id: rule, pattern} of rules) {
    if (planned.has(rule) || frozen.has(pattern.toLowerCase())) continue;
    if (pattern.toLowerCase() !== old && !pattern.toLowerCase().startsWith(`${old}/`)) continue;
    context.report({
      type: 'notice',
      code: 'RULE_KEEPS_OLD_PATH',
      message: `the protection rule "${pattern}" names the old path; change that to ${registryPathOf(to)}`,
    });
  }
}
