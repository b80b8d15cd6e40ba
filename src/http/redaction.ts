import {cutParts, decodedWords, formsOf} from './secret-forms.ts';
import {ShortLivedTokens} from './short-lived-tokens.ts';

const BLANK = '***';
/**
 * Secrets recognised by their form, whether registered or not: registries quote signed URLs and tokens. The part after
 * the named group `keep` is redacted.
 */
const FORMS = [
  // Signatures of presigned URLs: S3, Google Cloud Storage, Azure, CloudFront.
  /(?<keep>[?&;](?:X-(?:Amz|Goog|Oss)-(?:Signature|Credential|Security-Token)|sig|signature)=)[^&\s"'<>\\]+/gi,
  // Tokens in a query, a form or a sentence, and in JSON, also quoted in JSON once more.
  /(?<keep>\b(?:(?:access_|id_|refresh_|private_|job_|identity)?token|jwt|password|(?:client_)?secret)=)[^&\s"'<>\\]+/gi,
  /(?<keep>"(?:(?:access_|id_|refresh_|private_|job_|identity)?token|jwt|password|(?:client_)?secret|set-cookie|authorization)\\{0,3}"\s{0,9}:\s{0,9}\\{0,3}")(?:[^"\\]|\\[^"\\])+/gi,
  // Logins in URLs.
  /(?<keep>\b[a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/@:"'<>\\]{0,500}:[^\s/@"'<>\\]{1,2000}(?=@)/gi,
  /(?<keep>\b(?:Bearer|Basic) +)[A-Za-z0-9._~+/-]{16,}=*/gi,
  // JSON Web Tokens, and the prefixes of GitLab's, GitHub's and Docker's tokens.
  /(?<keep>)(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?/g,
  /(?<keep>)\b(?:gl(?:pat|dt|ptt|cbt|rt|ft|soat|oas)-|gh[pousr]_|github_pat_|dckr_pat_)[A-Za-z0-9_.-]{16,}/g,
];

/**
 * Records secrets as they become known, and redacts them in all text that is shown or written. This is a second line of
 * defence: messages are built without secrets, but they quote registries, proxies and credential helpers.
 *
 * The run time is linear in the length of the text, because servers control the text and the tokens.
 */
export class Redactor {
  /** The user's passwords and tokens, of which there are few. */
  readonly #longLived = new Set<string>();
  /** Tokens issued by registries. */
  readonly #shortLived = new ShortLivedTokens();

  /** Records a password or a long-lived token permanently. */
  learn(secret: string): void {
    for (const form of formsOf(secret)) this.#longLived.add(form);
  }

  /** Records a password, also in its encoding for Basic authentication. */
  learnBasic(username: string, password: string): void {
    this.learn(password);
    this.learn(Buffer.from(`${username}:${password}`).toString('base64'));
  }

  /** Records a short-lived token of a registry; only the last 500 are kept. */
  learnShortLived(token: string): void {
    this.#shortLived.learn(formsOf(token));
  }

  /** The text with `***` in place of each run of characters that belongs to secrets. */
  redact(text: string): string {
    const marks = new Marks(text);
    this.#markLearned(marks);
    for (const form of FORMS) marks.addMatches(form);
    const parts: string[] = [];
    let done = 0;
    for (const {start, end} of marks.runs()) {
      parts.push(text.slice(done, start), BLANK);
      done = end;
    }
    return done === 0 ? text : parts.join('') + text.slice(done);
  }

  /** Whether the text contains no secret. */
  isClean(text: string): boolean {
    return FORMS.every((form) => text.search(form) < 0) && this.secretsIn(text).length === 0;
  }

  /** The ranges of the text that belong to recorded secrets. */
  secretsIn(text: string): readonly string[] {
    const marks = new Marks(text);
    this.#markLearned(marks);
    return [...marks.runs()].map(({start, end}) => text.slice(start, end));
  }

  #markLearned(marks: Marks): void {
    for (const secret of this.#longLived) {
      marks.addAll(secret);
      for (const {start, end} of cutParts(marks.text, secret)) marks.add(start, end);
    }
    this.#shortLived.find(marks.text, (start, end) => marks.add(start, end));
    for (const {start, end, decoded} of decodedWords(marks.unmarked()))
      if (this.#knows(decoded)) marks.add(start, end);
  }

  #knows(text: string): boolean {
    for (const secret of this.#longLived) if (text.includes(secret)) return true;
    let isKnown = false;
    this.#shortLived.find(text, () => {
      isKnown = true;
    });
    return isKnown;
  }
}

/** The characters of a text to redact. */
class Marks {
  readonly text: string;
  /** One for each character; undefined: none is marked. */
  #marked: Uint8Array | undefined;

  constructor(text: string) {
    this.text = text;
  }

  add(start: number, end: number): void {
    this.#marked ??= new Uint8Array(this.text.length);
    this.#marked.fill(1, start, end);
  }

  /** Marks every occurrence, including overlapping ones. */
  addAll(secret: string): void {
    for (let at = this.text.indexOf(secret); at >= 0; at = this.text.indexOf(secret, at + 1))
      this.add(at, at + secret.length);
  }

  addMatches(form: RegExp): void {
    for (const {index, groups, 0: match} of this.text.matchAll(form))
      this.add(index + (groups?.['keep'] ?? '').length, index + match.length);
  }

  /** The text with blanks in place of what is marked. */
  unmarked(): string {
    const parts: string[] = [];
    let done = 0;
    for (const {start, end} of this.runs()) {
      parts.push(this.text.slice(done, start), ' '.repeat(end - start));
      done = end;
    }
    return done === 0 ? this.text : parts.join('') + this.text.slice(done);
  }

  *runs(): Generator<{readonly start: number; readonly end: number}> {
    const marked = this.#marked;
    if (marked === undefined) return;
    for (let start = marked.indexOf(1); start >= 0; ) {
      const next = marked.indexOf(0, start);
      const end = next < 0 ? marked.length : next;
      yield {start, end};
      start = marked.indexOf(1, end);
    }
  }
}

/** Query keys whose values are shown: those of the registry API. Signed URLs contain secrets under any name. */
const PUBLIC_QUERY_KEYS = new Set([
  'artifactType',
  'digest',
  'from',
  'last',
  'mount',
  'n',
  'ns',
  'page',
  'per_page',
  'scope',
  'service',
]);

/** The URL for messages and logs: without user and fragment, with unknown query values redacted. */
export function redactUrl(url: URL | string): string {
  const parsed = typeof url === 'string' ? URL.parse(url) : new URL(url);
  if (!parsed) return '(not a URL)';
  parsed.username = '';
  parsed.password = '';
  parsed.hash = '';
  for (const key of new Set(parsed.searchParams.keys())) {
    if (!PUBLIC_QUERY_KEYS.has(key)) parsed.searchParams.set(key, 'REDACTED');
  }
  return parsed.href;
}

/** The text with all URLs redacted as by `redactUrl`. */
export function redactUrlsIn(text: string): string {
  return text.replaceAll(/\bhttps?:\/\/[^\s"'<>\\^`{|}]+/gi, (url) => redactUrl(url));
}
