import {writeFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const VALID =
  'version: 1\nfrom: ${HARBOR}\nto: b.example/acme\nroutes:\n  - from: team/*\n    to: ["x/{1}", "c.example/{1}"]\ndeleteSource: afterVerify\n';
const WRONG = 'version: 1\nfrom: a.example\nrutes: []\nprune: true\n';

async function check(text: string, ...flags: readonly string[]) {
  await using temp = await tempDirectory();
  const file = temp.join('acme.yaml');
  await writeFile(file, text);
  const result = await transship(['plan', file, '--check', ...flags], {env: {HARBOR: 'h.example'}});
  return {file, ...result};
}

describe('plan FILE.yaml --check', () => {
  test('shows the routes of a valid file, deletions first', async () => {
    const {file, code, stdout, stderr} = await check(VALID);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe(
      `${file} is valid.\nTags are deleted at the source after their copies have been verified.\n\nRoutes (1):\n` +
        '  line 5: h.example/team/* -> b.example/acme/x/{1}\n  line 5: h.example/team/* -> c.example/{1}\n',
    );
  });

  test('prints the routes as JSON', async () => {
    const {code, stdout} = await check(VALID, '--format', 'json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      valid: true,
      kind: 'copy',
      routes: [
        {
          line: 5,
          column: 5,
          from: 'h.example/team/*',
          to: ['b.example/acme/x/{1}', 'c.example/{1}'],
        },
      ],
      deleteSource: 'afterVerify',
      prune: false,
    });
  });

  test('lists all that is wrong with its place', async () => {
    const {file, code, stdout, stderr} = await check(WRONG);
    expect([code, stdout]).toEqual([64, '']);
    expect(stderr.split('\n').slice(0, 3)).toEqual([
      `${file}:1:1: "routes" is missing: expected a list`,
      expect.stringMatching(/acme\.yaml:3:1: "rutes" is not a key here: did you mean "routes"\?/),
      `${file}:4:8: true is wrong: expected false or a map`,
    ]);
    expect(stderr).toContain('has 3 problems [MIGRATION_INVALID]');
  });

  test('lists it as JSON', async () => {
    const {file, code, stdout, stderr} = await check(WRONG, '--format=json');
    expect([code, stderr]).toEqual([64, '']);
    expect(JSON.parse(stdout)).toMatchObject({
      valid: false,
      code: 'MIGRATION_INVALID',
      problems: [{file, line: 1, column: 1}, {line: 3}, {line: 4, column: 8}],
    });
  });

  test('distinguishes a misspelt command from an absent file', async () => {
    expect((await transship(['plan', 'copi'])).stderr).toContain('[USAGE]');
    expect((await transship(['plan', 'copi.yaml', '--check'])).stderr).toContain(
      '[FILE_UNREADABLE]',
    );
  });
});
