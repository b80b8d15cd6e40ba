/** Who has to act. */
export type Whose =
  | 'you'
  | 'the administrator of GitLab'
  | 'the administrator of the registry'
  | 'the owner of the project'
  | 'the network';

/** What people see in their terminals and in GitLab, and what it means. */
export interface Symptom {
  /** Unique, for links. */
  readonly id: string;
  /**
   * Words that tell it from others, in lower case without quotes; one of them is enough. English, and Japanese where
   * GitLab's manual has it.
   */
  readonly words: readonly string[];
  readonly meaning: string;
  readonly whose: Whose;
  readonly remedy: string;
  /** What of transship helps. */
  readonly command?: string;
}
