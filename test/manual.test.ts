import {readdir, readFile, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {describe, expect, test} from 'vitest';
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
  `--all-tags --dest --dest-compress-format --dest-tls-verify --exit-status --for --global --keep-going --multi-arch --output
   --password-stdin --patch --preserve-digests --query --src --src-creds --src-tls-verify --time --timeout --type
   --username`.split(/\s+/),
);

/** The headings of a page, as GitLab and GitHub name them in addresses. */
function anchorsOf(text: string): readonly string[] {
  const prose = text.replaceAll(/^```.*?^```$/gms, '');
  return [...prose.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe.each(PAGES)('%s', (page) => {
  const text = texts.get(page) ?? '';

  test('has one title, at its beginning', () => {
    const prose = text.replaceAll(/^```.*?^```$/gms, '');
    expect(prose.match(/^# .*$/gm)).toEqual([text.split('\n')[0]]);
  });

  test('has links that lead somewhere', async () => {
    const broken: string[] = [];
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const path = file === '' ? page : join(dirname(page), file);
      const isThere = await stat(join(PROJECT, path)).then(
        () => true,
        () => false,
      );
      const other = texts.get(path);
      const hasAnchor =
        anchor === undefined || (other !== undefined && anchorsOf(other).includes(anchor));
      if (!isThere || !hasAnchor) broken.push(target);
    }
    expect(broken).toEqual([]);
  });
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
