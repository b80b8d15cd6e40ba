/**
 * Whether a name matches the pattern of a protection rule: `*` stands for any characters (GitLab:
 * doc/api/container_repository_protection_rules.md). Patterns of tags are regular expressions in GitLab's user guide
 * and have `*` in its API guide; the sandbox takes both the same way, as the API guide does.
 */
export function matches(pattern: string, name: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 'i').test(name);
}
