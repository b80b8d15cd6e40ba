import {z} from 'zod';

// Zod can generate a function for each schema, which V8 then has to compile. A run validates few values of most
// schemas, so generating costs more time than it saves; for thousands of manifests it makes no difference.
z.config({
  jitless: true,
  // Zod says "expected string, received undefined" of a field that is not there.
  customError: ({code, input}) =>
    code === 'invalid_type' && input === undefined ? 'it is missing' : undefined,
});

/** Zod, configured for the whole program. */
export {z};

/**
 * An array from outside. Validation ends at the first invalid item, whereas `z.array` creates an issue for each: a
 * million issues need hundreds of MiB, and make zod itself fail.
 */
export function list<T extends z.ZodType>(item: T) {
  return z.array(z.unknown()).transform((values, context): z.output<T>[] => {
    const items: z.output<T>[] = [];
    for (const [place, value] of values.entries()) {
      const {data, error} = item.safeParse(value);
      const issue = error?.issues[0];
      if (issue) {
        context.addIssue({code: 'custom', message: issue.message, path: [place, ...issue.path]});
        return z.NEVER;
      }
      items.push(data as z.output<T>);
    }
    return items;
  });
}

/** An object of strings from outside, such as annotations. Validation ends at the first invalid value. */
export function texts() {
  return z.custom<Record<string, string>>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      Object.values(value).every((text) => typeof text === 'string'),
    {error: 'expected an object of strings'},
  );
}
