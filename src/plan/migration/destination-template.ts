import {whyNotImagePath} from '../../model/gitlab-naming.ts';
import {isRepositoryPath} from '../../model/reference.ts';
import {splitHost, whyNotHost} from './registry-path.ts';

/** The values of the placeholders in a destination. */
export interface MatchedRepository {
  /** The path that the glob of the route matched. */
  readonly path: string;
  /** The text that each wildcard matched, in order. */
  readonly captured: readonly string[];
}

/** The maximum characters of a repository path. */
const PATH_LIMIT = 255;
const PLACEHOLDER = /\{([^{}]*)\}/g;
const NAMED: Readonly<Record<string, (path: string) => string>> = {
  path: (path) => path,
  name: (path) => path.slice(path.lastIndexOf('/') + 1),
  parent: (path) => path.slice(0, Math.max(0, path.lastIndexOf('/'))),
  // For destinations with fewer levels than the source.
  flat: (path) => path.replaceAll('/', '-'),
};

/** Why a text is not a destination, as a clause; undefined: it is valid. */
export function whyNotDestination(template: string): string | undefined {
  const {host, path} = splitHost(template);
  const badHost = host === undefined ? undefined : whyNotHost(host);
  if (badHost !== undefined) return badHost;
  const unknown = [...path.matchAll(PLACEHOLDER)].flatMap(([token, name = '']) =>
    Object.hasOwn(NAMED, name) || /^[1-9]\d?$/.test(name) ? [] : [`"${token}"`],
  );
  if (unknown.length > 0) {
    const are = unknown.length === 1 ? 'is not a placeholder' : 'are not placeholders';
    return `${unknown.join(', ')} ${are}: write {path}, {name}, {parent}, {flat}, {1}, {2} …`;
  }
  const plain = path.replaceAll(PLACEHOLDER, 'x');
  const wrong = /[^\w./-]/u.exec(plain)?.[0];
  if (wrong === ':' || wrong === '@')
    return `"${wrong}" is not allowed: a destination has no tag and no digest`;
  if (wrong !== undefined) return `"${wrong}" is not allowed in a path`;
  const parts = plain.split('/');
  if (parts.includes('')) return 'a part between "/" is empty';
  if (plain.length > PATH_LIMIT) return `it has more than ${PATH_LIMIT} characters`;
  // Upper case is converted to lower case, which the plan reports.
  const part = parts.find((one) => !isRepositoryPath(one.toLowerCase()));
  return part === undefined
    ? undefined
    : `"${part}" is not a part of a repository name: it has letters and digits, with single ".", "_", "__" or "-" between them`;
}

/**
 * Why a destination cannot be in a project, as far as that is known without the repositories; undefined: it can. Both
 * are below the same root.
 */
export function whyNotInProject(template: string, project: string): string | undefined {
  const [to, of] = [literalBeginning(template), literalBeginning(project)];
  const isFit = to.text.startsWith(of.text) || (!to.isWhole && of.text.startsWith(to.text));
  if (!isFit) return `it is not in the project "${project}"`;
  if (!to.isWhole || !of.isWhole) return undefined;
  const below = to.text.slice(of.text.length);
  if (below !== '' && !below.startsWith('/')) return `it is not in the project "${project}"`;
  return whyNotImagePath(to.text, of.text);
}

/** The beginning of a template up to its first placeholder, in lower case. */
function literalBeginning(template: string): {readonly text: string; readonly isWhole: boolean} {
  const at = template.indexOf('{');
  const text = (at < 0 ? template : template.slice(0, at)).toLowerCase();
  return {text, isWhole: at < 0};
}

/** The largest number in `{1}`, `{2}` … of a destination; 0: it has none. */
export function lastCapture(template: string): number {
  const numbers = [...template.matchAll(PLACEHOLDER)].map(([, name]) => Number(name));
  return Math.max(0, ...numbers.filter((number) => !Number.isNaN(number)));
}

/** The destination of a repository. Empty parts (`{parent}` for a path with one part) are omitted. */
export function fillDestination(template: string, {path, captured}: MatchedRepository): string {
  return template
    .replaceAll(
      PLACEHOLDER,
      (_token, name: string) => NAMED[name]?.(path) ?? captured[Number(name) - 1] ?? '',
    )
    .split('/')
    .filter((part) => part !== '')
    .join('/');
}
