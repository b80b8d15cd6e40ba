import {expect, test} from 'vitest';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {toldError} from '../support/error-lines.ts';
import {transship} from '../support/transship.ts';

test('the address of a registry is not taken for a GitLab without the project', async () => {
  await using registry = await startDockerRegistry();
  const args = ['plan', 'transfer', 'org/app', '--to', 'new/app', '--gitlab', registry.url];
  const run = await transship(args, {env: {GITLAB_TOKEN: 'glpat-some-token-of-mine'}});
  expect(toldError(run)).toMatchObject({code: 'NOT_GITLAB', side: 'GitLab'});
});
