/**
 * Globs for repository paths: `*` matches within a part of the path, `?` matches one character, `**` matches whole
 * parts. `**` at the end matches one or more parts; `**` before a `/` matches any number of parts, including none.
 *
 * Not picomatch, because a migration file refers to the text that each wildcard matched (`{1}`), and because regular
 * expressions with many wildcards backtrack: this matcher takes at most (wildcards × length²) steps.
 */
export interface RepositoryGlob {
  readonly source: string;
  readonly wildcards: number;
  /** The text that each wildcard matched, without the `/` of `**` + `/`; undefined: the path does not match. */
  match(path: string): readonly string[] | undefined;
}

type GlobToken =
  | {readonly kind: 'text'; readonly text: string}
  | {readonly kind: 'one' | 'part' | 'rest' | 'directories'};

const TOKEN = /\*\*\/|\*\*|\*|\?|[^*?]+/g;

/** Why a text is not a glob, as a clause; undefined: it is valid. */
export function whyNotRepositoryGlob(source: string): string | undefined {
  const wrong = /[^\w./*?-]/u.exec(source)?.[0];
  if (wrong !== undefined) {
    return `"${wrong}" is not allowed: write letters, digits, ".", "_", "-", "/" and the wildcards *, **, ?`;
  }
  for (const part of source.split('/')) {
    if (part === '') return 'a part between "/" is empty';
    if (part.includes('**') && part !== '**') return '"**" must be a whole part, as in a/**/b';
  }
  return undefined;
}

/** The path that is above all matches of a glob; empty: there is none. */
export function literalParent(source: string): string {
  const parts = source.split('/');
  const end = parts.findIndex((part) => /[*?]/.test(part));
  return parts.slice(0, end < 0 ? -1 : end).join('/');
}

/** @param source a glob for which `whyNotRepositoryGlob` returns undefined */
export function repositoryGlob(source: string): RepositoryGlob {
  const tokens = [...source.matchAll(TOKEN)].map(([text]) => readToken(text));
  const wildcards = tokens.filter(({kind}) => kind !== 'text').length;
  const last = tokens.at(-1);
  // A quick check, because most paths that a route is compared with end differently.
  const end = last?.kind === 'text' ? last.text : '';
  return {
    source,
    wildcards,
    match: (path) => (path.endsWith(end) ? match(tokens, path) : undefined),
  };
}

function readToken(text: string): GlobToken {
  if (text === '**/') return {kind: 'directories'};
  if (text === '**') return {kind: 'rest'};
  if (text === '*') return {kind: 'part'};
  return text === '?' ? {kind: 'one'} : {kind: 'text', text};
}

/** Tries the longest match of the first wildcard first. A state that failed is not tried again. */
function match(tokens: readonly GlobToken[], path: string): readonly string[] | undefined {
  const failed = new Set<number>();
  const from = (index: number, at: number): readonly string[] | undefined => {
    const token = tokens[index];
    if (token === undefined) return at === path.length ? [] : undefined;
    const state = index * (path.length + 1) + at;
    if (failed.has(state)) return undefined;
    for (const {end, captured} of ways(token, path, at)) {
      const rest = from(index + 1, end);
      if (rest !== undefined) return captured === undefined ? rest : [captured, ...rest];
    }
    failed.add(state);
    return undefined;
  };
  return from(0, 0);
}

function* ways(
  token: GlobToken,
  path: string,
  at: number,
): Generator<{readonly end: number; readonly captured?: string}> {
  if (token.kind === 'text') {
    if (path.startsWith(token.text, at)) yield {end: at + token.text.length};
    return;
  }
  if (token.kind === 'directories') {
    for (let end = path.lastIndexOf('/'); end > at; end = path.lastIndexOf('/', end - 1)) {
      yield {end: end + 1, captured: path.slice(at, end)};
    }
    yield {end: at, captured: ''};
    return;
  }
  const slash = path.indexOf('/', at);
  const limit = token.kind === 'rest' || slash < 0 ? path.length : slash;
  const [longest, shortest] =
    token.kind === 'one' ? [at + 1, at + 1] : [limit, token.kind === 'rest' ? at + 1 : at];
  for (let end = Math.min(longest, limit); end >= shortest; end -= 1) {
    yield {end, captured: path.slice(at, end)};
  }
}
