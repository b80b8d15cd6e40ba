import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {expect, test} from 'vitest';
import {ERROR_CODES} from '../src/model/error-codes.ts';
import {transship} from './support/transship.ts';

/*
 * What the pages name exists, and what exists is named on a page.
 */

const PROJECT = fileURLToPath(new URL('../', import.meta.url));
const DOCS = (await readdir(join(PROJECT, 'docs'))).sort().map((name) => `docs/${name}`);
const PAGES = ['README.md', 'CONTRIBUTING.md', 'ARCHITECTURE.md', ...DOCS];
const texts = new Map(
  await Promise.all(
    PAGES.map(async (page) => [page, await readFile(join(PROJECT, page), 'utf8')] as const),
  ),
);
const manual = ['README.md', ...DOCS].map((page) => texts.get(page) ?? '').join('\n');

/** Flags of other programs in examples, and those that `copy` takes from them without listing them. */
const OF_OTHERS = new Set(
  `--all-tags --dest --dest-compress-format --dest-tls-verify --exit-status --for --global --ignore-missing --keep-going
   --multi-arch --network --output --password-stdin --patch --preserve-digests --query --repo --rm --src --src-creds
   --src-tls-verify --time --timeout --type --username --userns`.split(/\s+/),
);

test.each(PAGES)('%s has one title, at its beginning', (page) => {
  const text = texts.get(page) ?? '';
  const prose = text.replaceAll(/^```.*?^```$/gms, '');
  expect(prose.match(/^# .*$/gm)).toEqual([text.split('\n')[0]]);
});

test('the index of the manual names each page', async () => {
  const index = texts.get('docs/README.md') ?? '';
  const named = [...index.matchAll(/\]\(([\w-]+\.md)\)/g)].map(([, name = '']) => `docs/${name}`);
  expect([...new Set(named)].toSorted()).toEqual(DOCS.filter((page) => page !== 'docs/README.md'));
});

test('flags that the pages name exist, and each flag is on a page', async () => {
  const {stdout} = await transship(['completion', 'bash']);
  const flags = new Set(stdout.match(/--[a-z][\w-]*/g));
  const named = new Set(manual.match(/(?<![\w-])--[a-z][a-z0-9-]*/g));
  const unknown = [...named].filter((flag) => !flags.has(flag) && !OF_OTHERS.has(flag));
  expect(unknown.toSorted()).toEqual([]);
  expect([...flags].filter((flag) => !named.has(flag)).toSorted()).toEqual([]);
});

test('codes that the pages name exist', async () => {
  const sources = (await readdir(join(PROJECT, 'src'), {recursive: true})).filter((name) =>
    name.endsWith('.ts'),
  );
  const code = await Promise.all(
    sources.map((name) => readFile(join(PROJECT, 'src', name), 'utf8')),
  );
  const known = new Set([
    ...Object.keys(ERROR_CODES),
    ...(code.join('\n').match(/\b[A-Z][A-Z_]+\b/g) ?? []),
  ]);
  const named = [...manual.matchAll(/`([A-Z]+(?:_[A-Z0-9]+)+)`/g)].map(([, name = '']) => name);
  expect(named.length).toBeGreaterThan(100);
  const variables = /^(?:TRANSSHIP|CI|XDG|GITLAB|DOCKER|NODE|NO|HTTPS?|ALL|REGISTRY|JOB|PARENT)_/;
  expect(named.filter((name) => !known.has(name) && !variables.test(name))).toEqual([]);
});
