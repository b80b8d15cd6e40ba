/** Paths of the properties in a JSON Schema without a description. */
export function undescribedFields(schema: unknown): readonly string[] {
  const found: string[] = [];
  const visit = (value: unknown, path: string) => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, child] of Object.entries(value)) {
      if (key === 'properties') {
        const fields = Object.entries(child as Record<string, {description?: string}>);
        for (const [name, {description}] of fields) if (!description) found.push(`${path}.${name}`);
      }
      visit(child, `${path}.${key}`);
    }
  };
  visit(schema, '');
  return found;
}
