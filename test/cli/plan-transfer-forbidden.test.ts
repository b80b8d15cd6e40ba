import {describe, expect, it} from 'vitest';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {planTransfer, transferSeed} from '../support/plan-transfer.ts';

type Seed = Parameters<typeof transferSeed>;
type Options = Parameters<typeof planTransfer>[1];

/** What stands against a transfer, and the checks that say so. */
const FORBIDDEN: readonly (readonly [string, Seed, Options, readonly string[]])[] = [
  [
    'a token that may only read',
    [],
    {token: 'ada-read'},
    ['TOKEN_SCOPE_MISSING', 'TOKEN_SCOPE_MISSING', 'TOKEN_SCOPE_MISSING'],
  ],
  ['a maintainer', [], {token: 'dev-api'}, ['ROLE_MISSING']],
  ['an archived project', [{archived: true}], {}, ['PROJECT_NOT_MOVABLE', 'TOKEN_SCOPE_MISSING']],
  ['a registry that is off', [{registry: 'disabled'}], {}, ['REGISTRY_DISABLED']],
  ['a name that is taken', [{}, [{path: 'new_org/build/app'}]], {}, ['NAME_TAKEN']],
  ['a reserved name', [], {to: 'new_org/build/blob'}, ['NAME_INVALID']],
  [
    'a name that no image can have',
    [],
    {to: 'new_org/build/a..b'},
    ['NAME_INVALID', 'NAME_INVALID', 'NAME_INVALID', 'NAME_INVALID'],
  ],
  [
    'a protected path',
    [{rules: {repositories: [{pattern: 'org/build/app*', delete: 'admin'}]}}],
    {},
    ['PROTECTED'],
  ],
  [
    'a protected tag',
    [{rules: {tags: [{pattern: 'v*', push: 'admin', delete: 'admin'}]}}],
    {},
    ['PROTECTED'],
  ],
  ['an immutable tag', [{rules: {tags: [{pattern: 'v1'}]}}], {}, ['PROTECTED']],
  ['a donor that is not there', [], {args: ['--donor', 'donors/nowhere']}, ['DONOR_MISSING']],
  ['a donor that is the project', [], {args: ['--donor', 'org/build/app']}, ['DONOR_UNFIT']],
];

describe('plan transfer ends with 3, and nothing touched, for', () => {
  it.each(FORBIDDEN)('%s', async (_what, seed, options, expected) => {
    await using rig = await startRig({seed: transferSeed(...seed)});
    const before = await imagesOf(rig);
    const {code, forbidden, stderr} = await planTransfer(rig.url, options);
    expect([code, forbidden, stderr]).toEqual([3, expected, '']);
    expect(await imagesOf(rig)).toEqual(before);
  });

  it('a registry that is read-only', async () => {
    await using rig = await startRig({seed: transferSeed(), switches: {readOnly: true}});
    const {code, forbidden} = await planTransfer(rig.url, {args: []});
    expect([code, forbidden]).toEqual([3, ['REGISTRY_READ_ONLY']]);
  });

  it.each([
    ['an unknown project', {args: ['--donor', 'donors/parking']}, 'PROJECT_NOT_FOUND', 'eve-api'],
    ['an unknown target', {to: 'nowhere/app'}, 'NAMESPACE_NOT_FOUND', 'ada-api'],
    ['a token without the API', {}, 'TOKEN_SCOPE_MISSING', 'ada-registry'],
    ['the token of a job', {}, 'TOKEN_SCOPE_MISSING', 'app-job'],
  ])('%s', async (_what, options: Options, expected, token) => {
    const seed = transferSeed();
    await using rig = await startRig({
      seed: {
        ...seed,
        users: [...seed.users, {name: 'eve'}],
        tokens: [...(seed.tokens ?? []), {value: 'eve-api', user: 'eve', scopes: ['api']}],
      },
    });
    const {code, stderr, plan} = await planTransfer(rig.url, {...options, token});
    expect([code, plan]).toEqual([3, undefined]);
    expect(stderr).toContain(`"code":"${expected}"`);
    expect(stderr).not.toContain(token);
  });
});

/** Every tag of the registry, but for those of the donors. */
async function imagesOf({
  sandbox,
}: Awaited<ReturnType<typeof startRig>>): Promise<readonly string[]> {
  const {manifests} = sandbox.storage;
  const paths = (await sandbox.storage.repositories()).filter(
    (path) => !path.startsWith('donors/'),
  );
  const tags = await Promise.all(
    paths.map(async (path) => (await manifests.tags(path)).map((tag) => `${path}:${tag}`)),
  );
  return tags.flat();
}
