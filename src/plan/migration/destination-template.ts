import {splitHost, whyNotHost} from './registry-path.ts';

/** What the placeholders of a destination stand for. */
export interface MatchedRepository {
  /** The path that the glob of the route matched. */
  readonly path: string;
  /** What the wildcards matched, in their order. */
  readonly captured: readonly string[];
}

const PLACEHOLDER = /\{([^{}]*)\}/g;
const NAMED: Readonly<Record<string, (path: string) => string>> = {
  path: (path) => path,
  name: (path) => path.slice(path.lastIndexOf('/') + 1),
  parent: (path) => path.slice(0, Math.max(0, path.lastIndexOf('/'))),
  // For many levels in a place that allows two.
  flat: (path) => path.replaceAll('/', '-'),
};

/** Why a text is not a destination, as a clause; undefined: it is one. */
export function whyNotDestination(template: string): string | undefined {
  const {host, path} = splitHost(template);
  const badHost = host === undefined ? undefined : whyNotHost(host);
  if (badHost !== undefined) return badHost;
  for (const [token, name = ''] of path.matchAll(PLACEHOLDER)) {
    if (!Object.hasOwn(NAMED, name) && !/^[1-9]\d?$/.test(name)) {
      return `"${token}" is not a placeholder: write {path}, {name}, {parent}, {flat}, {1}, {2} …`;
    }
  }
  const plain = path.replaceAll(PLACEHOLDER, 'x');
  const wrong = /[^\w./-]/u.exec(plain)?.[0];
  if (wrong === ':' || wrong === '@')
    return `"${wrong}" is not allowed: a destination has no tag and no digest`;
  if (wrong !== undefined) return `"${wrong}" is not allowed in a path`;
  return plain.split('/').includes('') ? 'a part between "/" is empty' : undefined;
}

/** The largest number of `{1}`, `{2}` … in a destination; 0: there is none. */
export function lastCapture(template: string): number {
  const numbers = [...template.matchAll(PLACEHOLDER)].map(([, name]) => Number(name));
  return Math.max(0, ...numbers.filter((number) => !Number.isNaN(number)));
}

/** The destination of one repository. Parts that become empty (`{parent}` of a path of one part) are left out. */
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
