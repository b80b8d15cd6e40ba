import type {TagLimits} from './facts.ts';

/** Whether a rule for repositories is about this path: `*` stands for any characters. */
export function matchesRule(pattern: string, path: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 'i').test(path);
}

/**
 * Whether a rule for tags may be about this tag. GitLab's user guide says that patterns are regular expressions, its API
 * guide that `*` stands for any characters; a tag that either reading protects counts as protected.
 */
export function matchesTagRule(pattern: string, tag: string): boolean {
  if (matchesRule(pattern, tag)) return true;
  try {
    return new RegExp(pattern).test(tag);
  } catch {
    // RE2 knows a few forms that are none here; who wrote one meant some tags.
    return true;
  }
}

/** Why a tag with this name cannot be deleted and pushed again, in words; undefined: it can. */
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
