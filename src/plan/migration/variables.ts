/** The variables that a migration file may use in hosts and paths, by name. */
export type Variables = Readonly<Record<string, string | undefined>>;

const VARIABLE = /\$\{([^}]*)\}/g;
/** Names of variables for secrets: values of a file may appear in plans and reviews. */
const SECRET =
  /TOKEN|SECRET|PASSW|PASSPHRASE|(?:^|_)(?:PASS|PAT|PWD|AUTH|OAUTH)(?:_|$)|CREDENTIAL|(?:API|PRIVATE|ACCESS|SIGNING|ENCRYPTION)_?KEY|_KEY$/i;
const VALUE_LIMIT = 1024;

export interface Expanded {
  readonly text: string;
  /** As clauses, each with its offset in the original text. */
  readonly problems: readonly {readonly offset: number; readonly message: string}[];
}

/** Expands the variables in a text. Values are not expanded again: `${` in them is kept. */
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
