import {z} from 'zod';

// Zod can write a function for each schema, which V8 then has to compile. A run reads few things of each kind: without
// it the first manifest is read in 2.3 ms in place of 4.5, and 5,000 of them in the same time.
z.config({jitless: true});

/** Zod, as all of the program uses it. */
export {z};

/**
 * An array from outside. Checking ends at the first wrong item, where `z.array` makes an issue of each: a million of them
 * take hundreds of MiB, and zod itself fails with them.
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

/** An object of strings from outside, such as annotations: as it is, checked up to the first wrong value. */
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
