import {readFile} from 'node:fs/promises';
import {expect, test} from 'vitest';

async function text(name: string): Promise<string> {
  return await readFile(new URL(`../../${name}`, import.meta.url), 'utf8');
}

/** The fields of a schema, and the words that their values are chosen from. */
function wordsOf(schema: unknown): ReadonlySet<string> {
  const words = new Set<string>();
  const add = (word: unknown): void => {
    if (typeof word === 'string') words.add(word);
  };
  const look = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, item] of Object.entries(value)) {
      if (key === 'properties') Object.keys(item as object).forEach(add);
      else if (key === 'const') add(item);
      else if (key === 'enum') (item as readonly unknown[]).forEach(add);
      look(item);
    }
  };
  look(schema);
  return words;
}

test.each([
  ['plans/plan.schema.json', 'docs/plan-format.md'],
  ['plans/migration.schema.json', 'docs/migration-file.md'],
  ['plans/policy.schema.json', 'docs/policy.md'],
])('the fields and fixed words of %s are on %s', async (schema, page) => {
  const words = wordsOf(JSON.parse(await text(schema)));
  const named = new Set((await text(page)).match(/[\w-]+/g));
  expect(words.size).toBeGreaterThan(7);
  expect([...words].filter((word) => !named.has(word))).toEqual([]);
});
