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
    const spans = [...this.#spans(text)].sort((a, b) => a.start - b.start);
    let redacted = '';
    let done = 0;
    for (const {start, end} of spans) {
      // Spans that overlap are blanked as one, so that no tail of a secret is left.
      if (start >= done) redacted += `${text.slice(done, start)}${BLANK}`;
      done = Math.max(done, end);
    }
    redacted += text.slice(done);
    return FORMS.reduce((shown, form) => shown.replace(form, `$<keep>${BLANK}`), redacted);
  }

  /** Whether nothing in the text is a secret. */
  isClean(text: string): boolean {
    return this.redact(text) === text;
  }

  /** The learned secrets in the text, in the form in which they stand there. */
  secretsIn(text: string): ReadonlySet<string> {
    return new Set([...this.#spans(text)].map(({start, end}) => text.slice(start, end)));
  }

  *#spans(text: string): Generator<{start: number; end: number}> {
    for (const secrets of [this.#lasting, this.#passing]) {
      for (const secret of secrets) {
        for (let at = text.indexOf(secret); at >= 0; at = text.indexOf(secret, at + 1)) {
          yield {start: at, end: at + secret.length};
        }
      }
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
