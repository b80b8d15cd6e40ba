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
