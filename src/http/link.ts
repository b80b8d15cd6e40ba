/** One entry of a `Link` header. */
export interface Link {
  /** As it stands there; resolve it against the answer's URL. */
  readonly target: string;
  /** Relation types in lower case. */
  readonly rel: readonly string[];
}

/**
 * Reads a `Link` header (RFC 8288, section 3): several links, parameters with or without quotes, commas and
 * semicolons inside of both. What cannot be read is left out.
 */
export function parseLinks(value: string | undefined): readonly Link[] {
  const links: Link[] = [];
  const text = value ?? '';
  let at = 0;
  for (;;) {
    const open = text.indexOf('<', at);
    const close = text.indexOf('>', open);
    if (open < 0 || close < 0) return links;
    const parameters = readParameters(text, close + 1);
    at = parameters.end;
    links.push({
      target: text.slice(open + 1, close).trim(),
      rel: parameters.rel.toLowerCase().split(/\s+/).filter(Boolean),
    });
  }
}

/**
 * The target of the first link with `rel="next"`, or of one without a relation, as crane and oras take it. Where a target
 * lacks its brackets it ends at the first semicolon, as containers/image reads it (docker_client.go, `GetRepositoryTags`).
 */
export function nextLink(value: string | undefined): string | undefined {
  const links = parseLinks(value);
  const next = links.find(({rel}) => rel.includes('next')) ?? links.find(({rel}) => !rel.length);
  if (next || links.length > 0 || !/;\s*rel\s*=\s*["']?next\b/i.test(value ?? ''))
    return next?.target;
  return value?.split(';')[0]?.replaceAll(/[<>]/g, '').trim();
}

const PARAMETER = /\s*;\s*([^\s=;,]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/y;

function readParameters(text: string, from: number): {rel: string; end: number} {
  let rel: string | undefined;
  PARAMETER.lastIndex = from;
  let end = from;
  for (let match = PARAMETER.exec(text); match; match = PARAMETER.exec(text)) {
    end = PARAMETER.lastIndex;
    // RFC 8288, section 3.3: only the first rel counts.
    if (match[1]?.toLowerCase() === 'rel') {
      rel ??= match[2]?.replaceAll(/\\(.)/g, '$1') ?? match[3]?.replaceAll("'", '') ?? '';
    }
  }
  return {rel: rel ?? '', end};
}
