import {stripVTControlCharacters} from 'node:util';
import {ERROR_CODES, type ErrorCode} from '../model/error-codes.ts';
import {CODE_ENTRIES} from './codes.ts';
import type {Symptom} from './symptom.ts';
import {SYMPTOMS} from './symptoms.ts';

/** What a code of ours, or the words of a registry, mean. */
export interface Explanation {
  /** The code, or the words that were found. */
  readonly about: string;
  /** Of a code: the exit code that it ends a command with. */
  readonly exit?: number;
  readonly meaning: string;
  /** Who has to act; absent: the error says so. */
  readonly whose?: Symptom['whose'];
  readonly remedy: string;
  readonly command?: string;
}

/** More than these are guesses. */
const MOST = 3;

/** What a text is about that somebody pastes from a terminal, the most likely first; empty: nothing is known of it. */
export function explain(text: string): readonly Explanation[] {
  const codes = [...new Set(text.match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b/g) ?? [])];
  const own = codes.flatMap((code) => explainCode(code) ?? []);
  if (own.length > 0 && codes.join(' ') === text.trim()) return own;
  const plain = normalized(text);
  const found = SYMPTOMS.flatMap((symptom) => {
    const words = symptom.words
      .filter((word) => plain.includes(normalized(word)))
      .toSorted((a, b) => b.length - a.length)[0];
    return words === undefined ? [] : [{symptom, words}];
  }).toSorted((a, b) => b.words.length - a.words.length);
  return [...own, ...found.slice(0, MOST).map(({symptom, words}) => explanationOf(symptom, words))];
}

/** Every code, in the order of docs/errors.md. */
export function allCodes(): readonly Explanation[] {
  return CODE_ENTRIES.flatMap(({codes}) => codes.flatMap((code) => explainCode(code) ?? []));
}

function explainCode(code: string): Explanation | undefined {
  const entry = CODE_ENTRIES.find(({codes}) => codes.some((one) => one === code));
  if (entry === undefined || !isErrorCode(code)) return undefined;
  const {meaning, remedy, command} = entry;
  return {
    about: code,
    exit: ERROR_CODES[code],
    meaning: withoutLinks(meaning),
    remedy,
    ...(command === undefined ? {} : {command}),
  };
}

function explanationOf({meaning, whose, remedy, command}: Symptom, about: string): Explanation {
  return {about, meaning, whose, remedy, ...(command === undefined ? {} : {command})};
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}

/** Terminals quote, wrap and colour: only the words count. Japanese has no blanks between them. */
function normalized(text: string): string {
  return stripVTControlCharacters(text)
    .toLowerCase()
    .replaceAll(/["'`‘’“”\\*]/g, '')
    .replaceAll(BETWEEN_JAPANESE, '')
    .replaceAll(/\s+/g, ' ');
}

const BETWEEN_JAPANESE =
  /(?<=[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}、])\s+(?=[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}、])/gu;

function withoutLinks(markdown: string): string {
  return markdown.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', '');
}
