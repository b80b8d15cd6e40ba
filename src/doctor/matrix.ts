import type {Finding} from './examination.ts';

/** The columns of the matrix of features in docs/registries.md, and the check that each is filled from. */
export const MATRIX_COLUMNS: readonly (readonly [title: string, check: string])[] = [
  ['auth', 'challenge'],
  ['token life', 'token-life'],
  ['catalog', 'catalog'],
  ['tags', 'tags'],
  ['paging', 'paging'],
  ['HEAD', 'head'],
  ['Range', 'ranges'],
  ['redirects', 'redirects'],
  ['chunks', 'chunks'],
  ['offset', 'resume'],
  ['after a cut', 'cut'],
  ['location', 'location'],
  ['largest body', 'largest-body'],
  ['mount', 'mount'],
  ['referrers API', 'referrers'],
  ['delete tag', 'delete-tag'],
  ['delete digest', 'delete-digest'],
  ['delete blob', 'delete-blob'],
  ['limits', 'limits'],
];

/** What is not known. */
const UNKNOWN = '?';

/** The row of a registry, a cell for each column; `?`: it was not looked at. */
export function matrixRow(findings: readonly Finding[]): readonly string[] {
  return MATRIX_COLUMNS.map(([, check]) => {
    const own = findings.filter((one) => one.check === check);
    const known = own.flatMap(({brief}) => brief ?? []);
    if (known.length > 0) return known.join('; ');
    return own.some(({result}) => result === 'fail') ? 'fails' : UNKNOWN;
  });
}
