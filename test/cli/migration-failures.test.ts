import {writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import type {CopyPlan} from '../../src/model/plan.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {scriptOf} from '../support/copy-rig.ts';
import {storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const answer = (path: string, text: string): FaultRuleInput => ({
  path,
  times: 99,
  fault: {kind: 'answer', status: 200, text, headers: {'content-type': 'application/json'}},
});
const refuse = (path: string, status: number): FaultRuleInput => ({
  path,
  times: 999,
  fault: {kind: 'refuse', status},
});

/** Plans the repositories `team/*` of a source with these faults, in which there are images in `a` to `h`. */
async function planned(rules: readonly FaultRuleInput[], route = '- from: team/*') {
  const faults = scriptOf(rules);
  await using source = await startSandbox({
    intercept: (exchange, next) => faults.intercept(exchange, next),
  });
  await using destination = await startSandbox();
  await using temp = await tempDirectory();
  for (const name of 'abcdefgh')
    await storeImage(source.storage, `team/${name}` as RepositoryPath, 'v1', [Buffer.from(name)]);
  const file = temp.join('m.yaml');
  await writeFile(
    file,
    `version: 1\nfrom: ${source.host}\nto: ${destination.host}\nroutes:\n  ${route}\n`,
  );
  const run = await transship(['plan', file, '--format=json', '--no-cache']);
  const made = run.stdout === '' ? undefined : (JSON.parse(run.stdout) as CopyPlan);
  const checks = (made?.checks ?? [])
    .filter(({result}) => result !== 'pass')
    .map(({code, result, message}) => `${result} ${code} ${message.replace(file, 'm.yaml')}`);
  return {...run, made, checks, host: source.host};
}

test('every repository that cannot be read is named with its line, and forbids the plan', async () => {
  const {code, checks, made} = await planned([
    refuse('/v2/team/b/tags/list', 500),
    refuse('/v2/team/d/', 403),
    answer('/v2/team/f/tags/list', '{"tags": 7}'),
    answer('/v2/team/g/manifests/', 'no manifest'),
  ]);
  expect(code).toBe(3);
  expect(checks).toEqual([
    expect.stringMatching(/^forbid REGISTRY_UNAVAILABLE m\.yaml:5:5: /),
    expect.stringMatching(/^forbid FORBIDDEN m\.yaml:5:5: /),
    expect.stringMatching(/^forbid RESPONSE_INVALID m\.yaml:5:5: /),
    expect.stringMatching(/^warn MANIFEST_INVALID .*team\/g:v1 is left out: /),
  ]);
  expect(made?.steps).toHaveLength(4);
  expect(made?.skipped.map(({reason}) => reason)).toEqual([
    'unsupported',
    'incomplete',
    'incomplete',
    'incomplete',
  ]);
});

test('a registry that fails completely ends planning', async () => {
  const {code, stdout, stderr} = await planned([refuse('/tags/list', 500)]);
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toContain('"code":"REGISTRY_UNAVAILABLE"');
});

test('listed names that are not names of repositories are left out with a warning', async () => {
  const names = ['team/a', 'UPPER/x', '', 'a/b:tag', 'team/b', 'team/b'];
  const list = JSON.stringify({repositories: names});
  const {code, checks, made, host} = await planned([answer('/v2/_catalog', list)], "- from: '**'");
  expect(code).toBe(0);
  expect(checks).toEqual(
    ['', 'UPPER/x', 'a/b:tag'].map(
      (name) =>
        `warn REFERENCE_INVALID ${host}/${name} is left out: "${name}" is not a repository name`,
    ),
  );
  expect(made?.steps).toHaveLength(2);
});
