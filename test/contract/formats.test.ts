import {readFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {DOCUMENT_LIMITS, type JsonLimits} from '../../src/model/json.ts';
import {MIGRATION_SIZE_LIMIT} from '../../src/plan/migration/yaml-source.ts';
import {PLAN_LIMITS} from '../../src/plan/plan-file.ts';

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
])('the fields and fixed values of %s are on %s', async (schema, page) => {
  const words = wordsOf(JSON.parse(await text(schema)));
  const named = new Set((await text(page)).match(/[\w-]+/g));
  expect(words.size).toBeGreaterThan(7);
  expect([...words].filter((word) => !named.has(word))).toEqual([]);
});

const MIB = 1024 * 1024;

function limitWords({size, values, depth}: JsonLimits): string {
  return `${size / MIB} MiB, ${values.toLocaleString('en')} values, ${depth} levels`;
}

test.each([
  ['plan', limitWords(PLAN_LIMITS)],
  ['manifest, config, credentials, faults', limitWords(DOCUMENT_LIMITS)],
  ['migration file', `${MIGRATION_SIZE_LIMIT / MIB} MiB`],
])('docs/security.md has the limits of a %s', async (file, limits) => {
  expect(await text('docs/security.md')).toMatch(new RegExp(`^\\| ${file} \\| ${limits}\\b`, 'm'));
});
