import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {expect, test} from 'vitest';
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

/**
 * Variables of GitLab, GitHub, Quay, Node and of examples, which the program does not read; those whose names it puts
 * together; those that `--dotenv` writes.
 */
const OUTSIDE =
  /^(?:CI_\w+|PARENT_PIPELINE_ID|GITHUB_(?:STEP_SUMMARY|TOKEN)|FEATURE_REFERRERS_API|NODE_(?:OPTIONS|EXTRA_CA_CERTS)|TRANSSHIP_(?:(?:SOURCE|DESTINATION)_\w+|PLAN|RESULT|BYTES_SENT|STEPS\w*))$/;

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

/** All of `src`, as one text. */
const sources = await Promise.all(
  (await readdir(join(PROJECT, 'src'), {recursive: true}))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFile(join(PROJECT, 'src', name), 'utf8')),
);
const code = sources.join('\n');

function namesIn(text: string, pattern: RegExp): readonly string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, name = '']) => name))].toSorted();
}

function flagOf(variable: string): string {
  return variable
    .replace(/^TRANSSHIP_/, '--')
    .toLowerCase()
    .replaceAll('_', '-');
}

test('codes and variables that the pages name exist', () => {
  const known = new Set(code.match(/\b[A-Z][A-Z_0-9]+\b/g));
  const flags = new Set(code.match(/--[a-z][a-z-]+/g));
  const named = namesIn(manual, /[`$]([A-Z]+(?:_[A-Z0-9]+)+)\b/g);
  expect(named.length).toBeGreaterThan(150);
  const unknown = named.filter((name) => !known.has(name) && !flags.has(flagOf(name)));
  expect(unknown.filter((name) => !OUTSIDE.test(name))).toEqual([]);
});

test('each finding of a plan is on a page', () => {
  const [, type = ''] = /export type FindingCode =(.*?);/s.exec(code) ?? [];
  const findings = namesIn(type, /'([A-Z_]+)'/g);
  expect(findings.length).toBeGreaterThan(50);
  expect(findings.filter((name) => !manual.includes(`\`${name}\``))).toEqual([]);
});

test('each variable of the environment that is read is on a page', () => {
  const read = namesIn(code, /\benv\['([A-Z][A-Z_]+)'\]/g);
  expect(read.length).toBeGreaterThan(15);
  expect(read.filter((name) => !manual.includes(name))).toEqual([]);
});
