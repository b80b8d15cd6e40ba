/** Those of the members that have a value: GitLab writes null, or nothing at all, where there is none. */
export function given<T extends object>(members: T): {[K in keyof T]?: NonNullable<T[K]>} {
  const entries = Object.entries(members).filter(
    ([, value]) => value !== null && value !== undefined,
  );
  return Object.fromEntries(entries) as {[K in keyof T]?: NonNullable<T[K]>};
}
