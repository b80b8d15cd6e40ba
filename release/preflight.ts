import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {run} from './program.ts';
import {PROJECT, type Release} from './release.ts';

/** A section of CHANGELOG.md (Keep a Changelog). */
export interface ChangelogSection {
  /** The version, or `Unreleased`. */
  readonly title: string;
  /** `2026-12-01`; undefined: none. */
  readonly date: string | undefined;
  readonly text: string;
}

/** @returns sections in the order of the file, the latest first */
export function changelogSections(changelog: string): readonly ChangelogSection[] {
  return changelog
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const [heading = '', ...lines] = part.split('\n');
      const [, title = '', date] = /^\[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?/.exec(heading) ?? [];
      const text = lines.join('\n').replace(/^\[[^\]]+\]: .*$/gm, '');
      return {title, date, text: text.trim()};
    });
}

export async function readChangelog(): Promise<readonly ChangelogSection[]> {
  return changelogSections(await readFile(join(PROJECT, 'CHANGELOG.md'), 'utf8'));
}

/**
 * What keeps the commit from being released as this version.
 * @param tag the tag that is released; undefined: none yet
 */
export async function obstacles(
  {version}: Release,
  tag: string | undefined,
): Promise<readonly string[]> {
  const found: string[] = [];
  const changes = (await run('git', ['status', '--porcelain'], {cwd: PROJECT})).trim();
  if (changes !== '') found.push(`the tree has changes that are not committed:\n${changes}`);
  if (!/^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/.test(version))
    found.push(`the version "${version}" of package.json is not a semantic version`);
  if ((await lockedVersion()) !== version)
    found.push('package-lock.json has another version than package.json: run npm install');
  const section = (await readChangelog()).find(({title}) => title === version);
  if (section?.date === undefined)
    found.push(`CHANGELOG.md has no heading "## [${version}] - DATE"`);
  else if (section.text === '') found.push(`CHANGELOG.md says nothing about ${version}`);
  const tags = (await run('git', ['tag', '--points-at', 'HEAD'], {cwd: PROJECT})).split('\n');
  if (tag === undefined) {
    const known = await run('git', ['tag', '--list', `v${version}`], {cwd: PROJECT});
    if (known.trim() !== '' && !tags.includes(`v${version}`))
      found.push(`v${version} is the tag of another commit: choose the next version`);
  } else {
    if (tag !== `v${version}`) found.push(`${tag} is not the tag of version ${version}`);
    if (!tags.includes(tag)) found.push(`${tag} is not the tag of this commit`);
  }
  return found;
}

async function lockedVersion(): Promise<string> {
  const lock = JSON.parse(await readFile(join(PROJECT, 'package-lock.json'), 'utf8')) as {
    readonly version: string;
  };
  return lock.version;
}
