/** One challenge of a `WWW-Authenticate` header. */
export interface Challenge {
  /** In lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** Names in lower case, values as they are. */
  readonly parameters: Readonly<Record<string, string>>;
}

const SPACE = /[\s,]*/y;
const TOKEN = /[\w!#$%&'*+.^`|~-]+/y;
const EQUALS = /\s*=\s*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"?/y;
/** What some schemes carry in place of parameters (RFC 9110, section 11.2). */
const TOKEN68 = /[ \t]+[\w.~+/-]+=*(?=\s*(?:,|$))/y;
const BARE = /[^\s,"]*/y;

/**
 * Reads all challenges of a header, or of several headers joined by commas (RFC 9110, section 11.6.1). A scheme is a
 * token that no `=` follows, so commas inside of quotes (`scope="repository:a:pull,push"`) part nothing.
 */
export function parseChallenges(value: string | undefined): readonly Challenge[] {
  const text = value ?? '';
  const challenges: {scheme: string; parameters: Record<string, string>}[] = [];
  const cursor = {at: 0};
  const take = (pattern: RegExp) => {
    pattern.lastIndex = cursor.at;
    const match = pattern.exec(text);
    if (match) cursor.at = pattern.lastIndex;
    return match;
  };
  for (;;) {
    take(SPACE);
    const token = take(TOKEN)?.[0];
    if (token === undefined) return challenges;
    const current = challenges.at(-1);
    if (!take(EQUALS) || !current) {
      challenges.push({scheme: token.toLowerCase(), parameters: {}});
      take(TOKEN68);
      continue;
    }
    const quoted = take(QUOTED)?.[1];
    current.parameters[token.toLowerCase()] =
      quoted?.replaceAll(/\\(.)/g, '$1') ?? take(BARE)?.[0] ?? '';
  }
}
