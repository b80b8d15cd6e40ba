import {expect, test} from 'vitest';
import {gaps} from '../../../src/sandbox/gitlab/event-log.ts';
import {layoutDirectory} from '../../support/fixtures.ts';
import {TransferRig} from './rig.ts';

/** 40 tags in each of five repositories: multi-arch with attestations, one that shares layers, signed ones. */
const REPOSITORIES = ['', 'api', 'web', 'tools', 'tools/lint'];
const KINDS = [
  {layout: layoutDirectory('attested'), ref: '1.0'},
  {layout: layoutDirectory('layered'), ref: 'v1'},
  {layout: layoutDirectory('layered'), ref: 'v2'},
  {layout: layoutDirectory('helm'), ref: '0.1.0'},
];
const TAGS = 35;

const IMAGES = REPOSITORIES.flatMap((name) => [
  {name, layout: layoutDirectory('signed')},
  ...Array.from({length: TAGS}, (_, at) => {
    const {layout, ref} = KINDS[at % KINDS.length] ?? {layout: '', ref: ''};
    return {name, layout, ref, tag: `t${at}`};
  }),
]);

test('200 tags move by a donor project without a byte of a blob, and are held at every moment', async () => {
  await using rig = await TransferRig.start({donor: 'project', images: IMAGES});
  const before = await rig.tagsBelow('org/build/app');
  expect(Object.keys(before)).toHaveLength(200);
  const {log, events} = rig.sandbox;
  log.clear();
  expect((await rig.apply()).result).toBe('done');
  expect(await rig.tagsBelow('new_org/build/renamed')).toEqual(before);
  expect(gaps(events.events)).toEqual([]);

  const content = log.entries.filter(({kind}) => kind === 'blob' || kind === 'upload');
  expect(content.reduce((sum, {bytesIn, bytesOut}) => sum + bytesIn + bytesOut, 0)).toBe(0);
  // Each tag is read before anything is done, once more before the first deletion, and before its own.
  const [tags, children, blobs] = [200, childrenOf(rig), blobsOf(rig)];
  const emptied = 3 * tags + tags;
  // There and back: each manifest is read, written and proved; each tag looked at before it is written; each blob
  // mounted and proved.
  const carried = 2 * (3 * (tags + children) + tags + 2 * blobs);
  const needed = emptied + carried;
  const requests = log.entries.length;
  expect(requests / needed).toBeLessThan(1.1);
}, 120_000);

/** Manifests that are put by digest, once in each repository. */
function childrenOf({move}: TransferRig): number {
  const copies = move.steps.flatMap((step) => (step.kind === 'push' ? step.copies : []));
  const put = copies.flatMap(({to, manifests, digest}) =>
    manifests.filter((one) => one !== digest).map((one) => `${to} ${one}`),
  );
  return new Set(put).size;
}

function blobsOf({move}: TransferRig): number {
  return move.steps.reduce((sum, step) => sum + (step.kind === 'push' ? step.blobs.length : 0), 0);
}
