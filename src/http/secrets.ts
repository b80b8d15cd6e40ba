import {PassingTokens} from './passing-tokens.ts';

/** A secret shorter than this many characters is not looked for: it would blank out ordinary words. */
const SHORTEST = 4;
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
  /(?<keep>)(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?/g,
  /(?<keep>)\b(?:gl(?:pat|dt|ptt|cbt|rt|ft|soat|oas)-|gh[pousr]_|github_pat_|dckr_pat_)[A-Za-z0-9_.-]{16,}/g,
];

/**
 * Learns secrets the moment they arrive and blanks them out of any text that is about to be shown or written.
 * The second line of defence: messages are made without secrets, but the words of registries, proxies and
 * credential helpers are quoted in them.
 *
 * Its time grows with the length of the text: what it looks through, and the tokens in it, are for others to choose.
 */
export class Redactor {
  /** Of passwords and tokens of the user's: few. */
  readonly #lasting = new Set<string>();
  /** Of tokens that registries gave. */
  readonly #passing = new PassingTokens();

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
    this.#passing.learn(formsOf(token));
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

  /** Whether nothing in the text is a secret. */
  isClean(text: string): boolean {
    return FORMS.every((form) => text.search(form) < 0) && this.secretsIn(text).length === 0;
  }

  /** The runs of characters in the text that belong to learned secrets. */
  secretsIn(text: string): readonly string[] {
    const marks = new Marks(text);
    this.#markLearned(marks);
    return [...marks.runs()].map(({start, end}) => text.slice(start, end));
  }

  #markLearned(marks: Marks): void {
    for (const secret of this.#lasting) marks.addAll(secret);
    this.#passing.find(marks.text, (start, end) => marks.add(start, end));
  }
}

/** The characters of a text that are to be blanked. */
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

  /** Wherever it stands, also where it overlaps itself. */
  addAll(secret: string): void {
    for (let at = this.text.indexOf(secret); at >= 0; at = this.text.indexOf(secret, at + 1))
      this.add(at, at + secret.length);
  }

  addMatches(form: RegExp): void {
    for (const {index, groups, 0: match} of this.text.matchAll(form))
      this.add(index + (groups?.['keep'] ?? '').length, index + match.length);
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
