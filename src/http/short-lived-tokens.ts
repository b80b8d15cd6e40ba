/** Maximum number of recorded encodings of tokens: a run of several days renews them all the time. */
const LIMIT = 2000;
/** Maximum number of recorded tokens shorter than `SHORT`. They are searched one by one; real tokens are longer. */
const SHORT_LIMIT = 20;
/** A token is identified by its first characters: the largest of these numbers that it has. */
const HEADS = [64, 16] as const;
const SHORT = 16;

/** Multiplier of the rolling hash (a prime; 32 bits, with overflow). */
const BASE = 16_777_619;

/**
 * The most recent tokens from registries. Registries control the number and form of tokens, and also the texts that are
 * searched for them. Tokens are therefore identified by their first characters, which a rolling hash finds in a single
 * pass over the text (Karp and Rabin), however many tokens there are.
 */
export class ShortLivedTokens {
  /** In the order in which they were recorded. */
  readonly #heads = new Set<string>();
  readonly #short = new Set<string>();
  #windows: readonly Window[] | undefined;

  /** Records a token. @param forms its encodings */
  learn(forms: Iterable<string>): void {
    for (const form of forms) {
      if (form.length < SHORT) remember(this.#short, form, SHORT_LIMIT);
      else
        remember(
          this.#heads,
          form.slice(
            0,
            HEADS.find((size) => form.length >= size),
          ),
          LIMIT,
        );
    }
    this.#windows = undefined;
  }

  /** Reports each occurrence of a token: from its beginning to the end of the word that begins with it. */
  find(text: string, found: (start: number, end: number) => void): void {
    for (const token of this.#short) {
      for (let at = text.indexOf(token); at >= 0; at = text.indexOf(token, at + 1))
        found(at, at + token.length);
    }
    this.#windows ??= HEADS.flatMap((size) => {
      const heads = [...this.#heads].filter(({length}) => length === size);
      return heads.length === 0 ? [] : [new Window(size, heads)];
    });
    for (const window of this.#windows) {
      let end = 0;
      window.walk(text, (start) => {
        // The rest of a word that was already reported is skipped.
        if (start < end) return;
        end = wordEnd(text, start + window.size);
        found(start, end);
      });
    }
  }
}

function remember(all: Set<string>, one: string, limit: number): void {
  all.delete(one);
  all.add(one);
  for (const oldest of all) {
    if (all.size <= limit) return;
    all.delete(oldest);
  }
}

/** Searches for heads of one length. */
class Window {
  readonly size: number;
  readonly #heads = new Map<number, string[]>();
  /** BASE to the power of `size`: the factor of the character that leaves the window. */
  readonly #leaving: number;

  constructor(size: number, heads: readonly string[]) {
    this.size = size;
    let power = 1;
    for (let n = 0; n < size; n++) power = Math.imul(power, BASE);
    this.#leaving = power;
    for (const head of heads) {
      const hash = hashOf(head);
      this.#heads.set(hash, [...(this.#heads.get(hash) ?? []), head]);
    }
  }

  /** Reports each position where one of the heads begins. */
  walk(text: string, found: (start: number) => void): void {
    let hash = 0;
    for (let at = 0; at < text.length; at++) {
      hash = (Math.imul(hash, BASE) + text.charCodeAt(at)) | 0;
      const start = at + 1 - this.size;
      if (start > 0) hash = (hash - Math.imul(this.#leaving, text.charCodeAt(start - 1))) | 0;
      if (start < 0) continue;
      const heads = this.#heads.get(hash);
      if (heads?.some((head) => text.startsWith(head, start)) === true) found(start);
    }
  }
}

function hashOf(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, BASE) + text.charCodeAt(at)) | 0;
  return hash;
}

const WORD = /[^\s"'<>\\&,;]*/y;

function wordEnd(text: string, from: number): number {
  WORD.lastIndex = from;
  return from + (WORD.exec(text)?.[0].length ?? 0);
}
