/** Variables that a migration file may use in hosts and paths, by name. */
export type Variables = Readonly<Record<string, string | undefined>>;

const VARIABLE = /\$\{([^}]*)\}/g;
/** Names by which secrets go: what a file uses may appear in plans and reviews. */
const SECRET =
  /TOKEN|SECRET|PASSW|PASSPHRASE|(?:^|_)(?:PASS|PAT|PWD|AUTH|OAUTH)(?:_|$)|CREDENTIAL|(?:API|PRIVATE|ACCESS|SIGNING|ENCRYPTION)_?KEY|_KEY$/i;
const VALUE_LIMIT = 1024;

export interface Expanded {
  readonly text: string;
  /** As clauses, each at its place in the text as written (0: its beginning). */
  readonly problems: readonly {readonly offset: number; readonly message: string}[];
}

/** Puts variables into a text. The values are not looked at again: `${` in them stays. */
export function expandVariables(text: string, variables: Variables): Expanded {
  const problems: {offset: number; message: string}[] = [];
  const expanded = text.replaceAll(VARIABLE, (token: string, name: string, offset: number) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    const why = whyNotVariable(name, value);
    if (why === undefined) return value ?? '';
    problems.push({offset, message: `"${token}" is wrong: ${why}`});
    return 'x';
  });
  return {text: expanded, problems};
}

function whyNotVariable(name: string, value: string | undefined): string | undefined {
  if (!/^[A-Za-z_]\w*$/.test(name)) return 'the name of a variable has letters, digits and "_"';
  if (SECRET.test(name))
    return 'the variable looks like a secret; a migration file uses none, credentials come from docker login';
  if (value === undefined || value === '') return 'the variable is not set';
  return value.length > VALUE_LIMIT
    ? `the variable has more than ${VALUE_LIMIT} characters`
    : undefined;
}
