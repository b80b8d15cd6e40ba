import {readFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {journalEntry} from '../../src/apply/journal-file.ts';
import {z} from '../../src/model/schema.ts';

const PAGE = await readFile(new URL('../../docs/journal-format.md', import.meta.url), 'utf8');

/** The rows of the tables: the types of an entry, and the words of its fields. */
const ROWS = [...PAGE.matchAll(/^\| (?!`type`)(`[\w-]+`(?:, `[\w-]+`)*) \| (.*?) \|/gm)].map(
  ([, types = '', fields = '']) => ({types: wordsIn(types), fields: wordsIn(fields)}),
);

function wordsIn(text: string): readonly string[] {
  return [...text.matchAll(/`([\w-]+\??)`/g)].map(([, word = '']) => word);
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly const?: string;
}

const {oneOf} = z.toJSONSchema(journalEntry, {io: 'input'}) as {oneOf: readonly Schema[]};
const ENTRIES = new Map(
  oneOf.map(({properties: {type, ...properties} = {}, required = []}) => [
    type?.const ?? '',
    {properties, required},
  ]),
);

test('the page on journals lists the entries that there are', () => {
  expect(ROWS.flatMap(({types}) => types).toSorted()).toEqual([...ENTRIES.keys()].toSorted());
});

test.each([...ENTRIES])(
  'the entry %s has the fields of the page',
  (type, {properties, required}) => {
    const row = ROWS.find(({types}) => types.includes(type));
    const names = Object.keys(properties).map((name) =>
      required.includes(name) ? name : `${name}?`,
    );
    // The results of projects are those of runs.
    const fixed = type === 'project-end' ? [] : Object.values(properties);
    const words = fixed.flatMap(({enum: all = []}) => all);
    const others = type === 'resume' ? ['pause', 'policy'] : type === 'pause' ? ['pause'] : [];
    const also = type === 'project-end' ? ['end'] : [];
    expect([...new Set([...(row?.fields ?? []), ...others])].toSorted()).toEqual(
      [...new Set([...names, ...words, ...others, ...also])].toSorted(),
    );
  },
);
