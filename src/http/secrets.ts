/** A secret shorter than this many characters is not looked for: it would blank out ordinary words. */
const SHORTEST = 4;
/** How many passing secrets are remembered: tokens are renewed all through a run of days. */
const PASSING_LIMIT = 500;
const BLANK = '***';
/**
 * What is a secret by its form, whether we have learned it or not: a registry quotes signed URLs and tokens that it or a
 * storage service made. The part after the named group `keep` is blanked.
 */
const FORMS = [
  // Signatures of presigned URLs: S3, Google Cloud Storage, Azure, CloudFront; tokens in a query.
  /(?<keep>[?&;](?:X-(?:Amz|Goog|Oss)-(?:Signature|Credential|Security-Token)|sig|signature|(?:access_|id_|refresh_|private_|job_)?token|jwt|password|secret)=)[^&\s"'<>\\]+/gi,
  /(?<keep>\b(?:Bearer|Basic) +)[A-Za-z0-9._~+/-]{16,}=*/gi,
  // JSON Web Tokens, and the prefixes of GitLab's, GitHub's and Docker's tokens.
  /(?<keep>)\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?/g,
  /(?<keep>)\b(?:gl(?:pat|dt|ptt|cbt|rt|ft|soat|oas)-|gh[pousr]_|github_pat_|dckr_pat_)[A-Za-z0-9_.-]{16,}/g,
];

/**
 * Learns secrets the moment they arrive and blanks them out of any text that is about to be shown or written.
 * The second line of defence: messages are made without secrets, but the words of registries, proxies and
 * credential helpers are quoted in them.
 */
export class Redactor {
  readonly #lasting = new Set<string>();
  readonly #passing = new Set<string>();

  /** A password or a long-lived token, remembered for good. */
  learn(secret: string): void {
    for (const form of formsOf(secret)) this.#lasting.add(form);
  }

  /** A user name with its password: also as the header of Basic authentication carries them. */
  learnBasic(username: string, password: string): void {
    this.learn(password);
    this.learn(Buffer.from(`${username}:${password}`).toString('base64'));
  }

  /** A token that a registry gave for some minutes; only the last 500 are remembered. */
  learnPassing(token: string): void {
    for (const form of formsOf(token)) {
      this.#passing.delete(form);
      this.#passing.add(form);
    }
    for (const oldest of this.#passing) {
      if (this.#passing.size <= PASSING_LIMIT) break;
      this.#passing.delete(oldest);
    }
  }

  /** The text with `***` in place of each run of characters that belongs to a secret. */
  redact(text: string): string {
    let found = this.#searches(text);
    if (found.length === 0) return text;
    const parts: string[] = [];
    let done = 0;
    for (let end = WINDOW; found.length > 0; end += WINDOW) {
      const spans = found.flatMap((search) => search.before(end));
      spans.sort((a, b) => a.start - b.start);
      let redacted = '';
      for (const span of spans) {
        // Spans that overlap are blanked as one, so that no tail of a secret is left.
        if (span.start >= done) redacted += `${text.slice(done, span.start)}${BLANK}`;
        done = Math.max(done, span.end);
      }
      parts.push(redacted);
      found = found.filter(({isOver}) => !isOver);
    }
    return parts.join('') + text.slice(done);
  }

  /** Whether nothing in the text is a secret. */
  isClean(text: string): boolean {
    return !this.#secrets().some((secret) => text.includes(secret)) && !FORMS.some(isIn(text));
  }

  /** The learned secrets in the text, in the form in which they stand there. */
  secretsIn(text: string): readonly string[] {
    return this.#secrets().filter((secret) => text.includes(secret));
  }

  #secrets(): readonly string[] {
    return [...this.#lasting, ...this.#passing];
  }

  /** Those that find something. */
  #searches(text: string): readonly Search[] {
    return [
      ...this.secretsIn(text).map((secret) => new Search(occurrences(text, secret))),
      ...FORMS.filter(isIn(text)).map((form) => new Search(matches(text, form))),
    ];
  }
}

/**
 * Characters of a text that are looked at together: how often secrets stand in a large one is for others to choose, so
 * that not all places are held at once.
 */
const WINDOW = 64 * 1024;

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Where one secret stands in a text, from its beginning on. */
class Search {
  readonly #spans: Iterator<Span>;
  #next: Span | undefined;

  constructor(spans: Iterable<Span>) {
    this.#spans = spans[Symbol.iterator]();
    this.#advance();
  }

  get isOver(): boolean {
    return this.#next === undefined;
  }

  /** What begins before `end` and was not given yet; what overlaps, as one. */
  before(end: number): Span[] {
    const found: Span[] = [];
    for (let next = this.#next; next !== undefined && next.start < end; next = this.#next) {
      const last = found.at(-1);
      if (last !== undefined && next.start < last.end)
        found[found.length - 1] = {start: last.start, end: next.end};
      else found.push(next);
      this.#advance();
    }
    return found;
  }

  #advance(): void {
    const {done, value} = this.#spans.next();
    this.#next = done === true ? undefined : value;
  }
}

/** Where a secret stands; those that overlap, such as of `aaaa` in `aaaaaa`, as one as far as one can be told at once. */
function* occurrences(text: string, secret: string): Generator<Span> {
  const period = periodOf(secret);
  const again = period < secret.length ? secret.slice(-period) : undefined;
  for (let at = text.indexOf(secret); at >= 0; ) {
    let end = at + secret.length;
    if (again !== undefined) while (text.startsWith(again, end)) end += period;
    yield {start: at, end};
    at = text.indexOf(secret, end - secret.length + 1);
  }
}

/** By how many characters a text has to be moved, at least, to agree with itself: its length minus its longest border. */
function periodOf(text: string): number {
  const borders = new Uint32Array(text.length);
  for (let at = 1, border = 0; at < text.length; at++) {
    while (border > 0 && text[at] !== text[border]) border = borders[border - 1] ?? 0;
    if (text[at] === text[border]) border++;
    borders[at] = border;
  }
  return text.length - (borders.at(-1) ?? 0);
}

function* matches(text: string, form: RegExp): Generator<Span> {
  for (const match of text.matchAll(form)) {
    const {index} = match;
    yield {start: index + (match.groups?.['keep'] ?? '').length, end: index + match[0].length};
  }
}

function isIn(text: string): (form: RegExp) => boolean {
  return (form) => text.search(form) >= 0;
}

/** The ways in which a secret stands in URLs, forms, JSON and headers. */
function formsOf(secret: string): Set<string> {
  if (secret.length < SHORTEST) return new Set();
  const bytes = Buffer.from(secret);
  return new Set([
    secret,
    bytes.toString('base64'),
    bytes.toString('base64url'),
    JSON.stringify(secret).slice(1, -1),
    new URLSearchParams({'': secret}).toString().slice(1),
    ...(secret.isWellFormed() ? [encodeURIComponent(secret)] : []),
  ]);
}
