import {RE2JS} from 're2js';

/** Whether a text has a part that an expression matches. */
export type Search = (text: string) => boolean;

/**
 * Reads an expression of RE2, the syntax of GitLab's rules for tags (GitLab: lib/gitlab/untrusted_regexp.rb).
 * JavaScript's own expressions are not used for it: they lack forms that RE2 has, read others differently, and may take
 * exponential time with an expression that somebody else wrote.
 * @returns undefined where it is none
 */
export function re2(expression: string): Search | undefined {
  try {
    const compiled = RE2JS.compile(expression);
    return (text) => compiled.matcher(text).find();
  } catch {
    return undefined;
  }
}
