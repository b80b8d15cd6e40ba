import {readdir, readFile} from 'node:fs/promises';
import {dirname, join, relative, resolve} from 'node:path';
import {HOMEPAGE} from '../../src/model/product.ts';

/** Of links that lead to a file of the project on the web. */
const ON_THE_WEB = `${HOMEPAGE}/blob/main/`;

/** A link in a page, that leads to a file of this machine. */
interface Link {
  /** As written. */
  readonly href: string;
  readonly file: string;
  /** Of a heading; undefined: the whole page. */
  readonly fragment: string | undefined;
}

/**
 * Looks up the links in all Markdown files below a directory that lead to files, and their headings. Links to other
 * places on the web are left out.
 * @param project where links to the project's files on the web are looked up
 * @returns `PAGE: LINK` for each that leads nowhere
 */
export async function brokenLinks(
  directory: string,
  {project}: {readonly project: string},
): Promise<readonly string[]> {
  const names = await readdir(directory, {recursive: true});
  const pages = names.filter((name) => name.endsWith('.md') && !name.includes('node_modules'));
  const found = await Promise.all(
    pages.map(async (page) => {
      const path = join(directory, page);
      const links = linksOf(await readFile(path, 'utf8'), path, project);
      const broken = await Promise.all(
        links.map(async (link) => ((await leadsSomewhere(link)) ? [] : [link.href])),
      );
      return broken.flat().map((href) => `${relative(directory, path)}: ${href}`);
    }),
  );
  return found.flat();
}

function linksOf(text: string, page: string, project: string): readonly Link[] {
  const prose = text.replaceAll(/^```.*?^```$/gms, '').replaceAll(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\((?<href>[^)\s]+)\)/g)].flatMap(({groups: {href = ''} = {}}) => {
    const onWeb = href.startsWith(ON_THE_WEB);
    if (/^[a-z]+:/.test(href) && !onWeb) return [];
    const [target = '', fragment] = (onWeb ? href.slice(ON_THE_WEB.length) : href).split('#');
    const base = onWeb ? project : dirname(page);
    return [{href, file: target === '' ? page : resolve(base, target), fragment}];
  });
}

async function leadsSomewhere({file, fragment}: Link): Promise<boolean> {
  try {
    if (fragment === undefined) return (await readdir(file).catch(() => readFile(file))) !== null;
    const text = await readFile(file, 'utf8');
    const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchor(heading));
    return headings.includes(fragment);
  } catch {
    return false;
  }
}

/** The anchor that GitHub and GitLab give a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/g, '-');
}
