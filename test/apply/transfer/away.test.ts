import {expect, test} from 'vitest';
import {layoutDirectory} from '../../support/fixtures.ts';
import {TransferRig} from './rig.ts';

const NEW = 'new_org/build/renamed';
/** Named against the order of their dates, which is that of the seed. */
const TAGS = ['z', 'm', 'a'];
const IMAGES = TAGS.map((tag) => ({layout: layoutDirectory('attested'), ref: '1.0' as const, tag}));

/** What is written to the new path, in the order in which it arrives. */
function writesOf(rig: TransferRig): string[] {
  const seen: string[] = [];
  rig.onRequest = async ({method, path}) => {
    const [, rest] = path.split(`/v2/${NEW}/`);
    if (rest !== undefined && method !== 'GET' && method !== 'HEAD') seen.push(`${method} ${rest}`);
    await Promise.resolve();
  };
  return seen;
}

test('for a policy that uses dates, tags are pushed in their order, after all other content', async () => {
  await using rig = await TransferRig.start({
    mode: 'metadata-db',
    donor: 'project',
    images: IMAGES,
  });
  const seen = writesOf(rig);
  expect((await rig.apply()).result).toBe('done');
  const first = seen.indexOf('PUT manifests/z');
  expect(first).toBeGreaterThan(0);
  expect(seen.slice(first)).toEqual(TAGS.map((tag) => `PUT manifests/${tag}`));
});

test('without such a policy no tag waits for another', async () => {
  await using rig = await TransferRig.start({
    mode: 'metadata-db',
    donor: 'project',
    images: IMAGES,
    cleanup: false,
  });
  const all = new Set<string>();
  const arrived = Promise.withResolvers<void>();
  rig.onRequest = async ({method, path}) => {
    const [, tag = ''] = path.split(`/v2/${NEW}/manifests/`);
    if (method !== 'PUT' || !TAGS.includes(tag)) return;
    all.add(tag);
    if (all.size === TAGS.length) arrived.resolve();
    // None is answered before all of them are here.
    await arrived.promise;
  };
  expect((await rig.apply()).result).toBe('done');
  expect([...all].toSorted()).toEqual([...TAGS].toSorted());
});
