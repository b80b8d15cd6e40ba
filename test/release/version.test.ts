import {expect, test} from 'vitest';
import {mentionedVersions} from '../../release/mentions.ts';
import {changelogSections, readChangelog} from '../../release/preflight.ts';
import {readProduct} from '../../release/release.ts';

test('a section of the changelog is the text of a release', () => {
  const text = `# Changelog

Words.

## [Unreleased]

### Added

- Something new.

## [1.2.0-rc.1] - 2026-12-01

### Fixed

- A defect.

## [1.1.0]

[1.1.0]: https://example.com
`;
  expect(changelogSections(text)).toEqual([
    {title: 'Unreleased', date: undefined, text: '### Added\n\n- Something new.'},
    {title: '1.2.0-rc.1', date: '2026-12-01', text: '### Fixed\n\n- A defect.'},
    {title: '1.1.0', date: undefined, text: ''},
  ]);
});

test('the changelog has such sections', async () => {
  const [first] = await readChangelog();
  expect(first?.title).toMatch(/^(?:Unreleased|\d+\.\d+\.\d+)/);
  expect(first?.text).toMatch(/^[^]*- /);
});

test('pages, examples and the component name the current version', async () => {
  const {version} = await readProduct();
  const mentioned = await mentionedVersions();
  for (const [file, versions] of mentioned)
    expect({file, versions: new Set(versions)}).toEqual({file, versions: new Set([version])});
  const files = [...mentioned.keys()].join(' ');
  for (const name of ['pipelines.md', 'gitlab-ci.yml', 'Jenkinsfile', 'transship.yml'])
    expect(files).toContain(name);
});
