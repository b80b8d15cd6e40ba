import * as fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import type {Manifest} from '../../src/model/manifest.ts';
import {parsePlatform} from '../../src/model/platform.ts';
import {cutIndex} from '../../src/plan/cut-index.ts';
import {choosePlatforms} from '../../src/plan/platforms.ts';
import {entry, image, index, layoutSource, manifest} from '../support/inventories.ts';

const amd64 = image(['amd64']);
const arm64 = image(['arm64']);
const armV6 = image(['arm v6']);
const armV7 = image(['arm v7']);
const chart = image(['chart']);
const attestation = (of: Manifest) => image([`attestation of ${of.descriptor.digest}`]);
const attest = (of: Manifest) =>
  entry(attestation(of), 'unknown/unknown', {
    'vnd.docker.reference.digest': of.descriptor.digest,
  });
const two = index([entry(amd64, 'linux/amd64'), entry(arm64, 'linux/arm64')]);
const arms = index([entry(armV6, 'linux/arm/v6'), entry(armV7, 'linux/arm/v7')]);
const attested = index([
  entry(amd64, 'linux/amd64'),
  entry(armV6, 'linux/arm/v6'),
  entry(armV7, 'linux/arm/v7'),
  attest(amd64),
  attest(armV6),
]);
const nested = index([entry(two), entry(arms)]);
const known = new Map(
  [
    amd64,
    arm64,
    armV6,
    armV7,
    chart,
    two,
    arms,
    attested,
    nested,
    attestation(amd64),
    attestation(armV6),
  ].map((one) => [one.descriptor.digest, one]),
);

const choose = (root: Manifest, ...wanted: string[]) =>
  choosePlatforms(root, {wanted: wanted.map(parsePlatform), find: (digest) => known.get(digest)});
const whole = ({descriptor}: Manifest) => ({kind: 'whole', digest: descriptor.digest});
const cut = ({descriptor}: Manifest, ...keep: {digest: string}[]) => ({
  kind: 'cut',
  digest: descriptor.digest,
  keep: keep.map(({digest}) => digest),
  absent: [],
});
/** An attestation of it is not at the source. */
const halfAttested = index([
  entry(amd64, 'linux/amd64'),
  entry(arm64, 'linux/arm64'),
  attest(amd64),
  attest(arm64),
]);

describe('choosePlatforms', () => {
  it.each<[string, Manifest, string[], object]>([
    ['everything without a wish', attested, [], whole(attested)],
    ['the image for one platform', two, ['linux/arm64'], whole(arm64)],
    ['the index if all of it matches', two, ['linux/amd64', 'linux/arm64'], whole(two)],
    [
      'the index of one image with its attestation',
      index([entry(amd64, 'linux/amd64'), attest(amd64)]),
      ['linux/amd64'],
      whole(index([entry(amd64, 'linux/amd64'), attest(amd64)])),
    ],
    [
      'the images of all variants',
      attested,
      ['linux/arm'],
      cut(attested, armV6.descriptor, armV7.descriptor, attest(armV6)),
    ],
    ['the image of one variant', attested, ['linux/arm/v7'], whole(armV7)],
    [
      'the images of several platforms',
      attested,
      ['linux/amd64', 'linux/arm/v7'],
      cut(attested, amd64.descriptor, armV7.descriptor, attest(amd64)),
    ],
    [
      'an index where several are wanted and one is there',
      two,
      ['linux/amd64', 'linux/s390x'],
      cut(two, amd64.descriptor),
    ],
    [
      'all images without an attestation that the source lost',
      halfAttested,
      ['linux/amd64', 'linux/arm64'],
      {
        ...cut(halfAttested, amd64.descriptor, arm64.descriptor, attest(amd64)),
        absent: [attest(arm64).digest],
      },
    ],
    [
      'the one image whose attestation the source lost',
      index([entry(arm64, 'linux/arm64'), attest(arm64)]),
      ['linux/arm64'],
      whole(arm64),
    ],
    ['an image inside an inner index', nested, ['linux/arm/v7'], whole(armV7)],
    ['an inner index', nested, ['linux/arm'], whole(arms)],
    ['inner indexes whole', nested, ['linux/amd64', 'linux/arm/v6'], whole(nested)],
    ['an image that names no platform', chart, ['linux/amd64'], whole(chart)],
    [
      'an index that names no platforms',
      index([entry(chart)]),
      ['linux/amd64'],
      whole(index([entry(chart)])),
    ],
    ['an index of nothing', index([]), ['linux/amd64'], whole(index([]))],
    [
      'a manifest that is listed twice',
      index([entry(amd64, 'linux/amd64'), entry(amd64, 'linux/arm64')]),
      ['linux/arm64'],
      whole(index([entry(amd64, 'linux/amd64'), entry(amd64, 'linux/arm64')])),
    ],
    [
      'not what names no platform beside others',
      index([entry(amd64, 'linux/amd64'), entry(chart)]),
      ['linux/amd64', 'linux/arm64'],
      cut(index([entry(amd64, 'linux/amd64'), entry(chart)]), amd64.descriptor),
    ],
    ['nothing', two, ['windows/amd64'], {kind: 'none', available: ['linux/amd64', 'linux/arm64']}],
    [
      'nothing of an inner index',
      nested,
      ['linux/s390x'],
      {kind: 'none', available: ['linux/amd64', 'linux/arm/v6', 'linux/arm/v7', 'linux/arm64']},
    ],
  ])('takes %s', (_what, root, wanted, expected) => {
    expect(choose(root, ...wanted)).toEqual(expected);
  });

  it('asks the config where the index is silent', () => {
    const silent = index([entry(amd64), entry(arm64)]);
    const platformOf = new Map([
      [amd64.descriptor.digest, parsePlatform('linux/amd64')],
      [arm64.descriptor.digest, parsePlatform('linux/arm64')],
    ]);
    const wish = {wanted: [parsePlatform('linux/arm64')], find: () => undefined, platformOf};
    expect(choosePlatforms(silent, wish)).toEqual(whole(arm64));
    expect(choosePlatforms(arm64, wish)).toEqual(whole(arm64));
    expect(choosePlatforms(amd64, wish)).toEqual({kind: 'none', available: ['linux/amd64']});
  });

  it('takes the attestations of real images along', () => {
    const {roots, manifests} = layoutSource('attested-buildkit', 'a.test/x');
    const root = manifests.get(
      roots.find(({tag}) => tag === 'max')?.digest ?? amd64.descriptor.digest,
    );
    const wanted = ['linux/amd64', 'linux/riscv64'].map(parsePlatform);
    const choice = choosePlatforms(root ?? amd64, {
      wanted,
      find: (digest) => manifests.get(digest),
    });
    expect(choice).toMatchObject({kind: 'cut', keep: {length: 2}});
  });

  it('is not slow where indexes list one another twice, level by level', () => {
    let top = index([entry(amd64, 'linux/amd64'), entry(arm64, 'linux/arm64')]);
    const levels = new Map([[top.descriptor.digest, top]]);
    for (let level = 0; level < 60; level++) {
      top = index([entry(top), entry(top, undefined, {level: String(level)})]);
      levels.set(top.descriptor.digest, top);
    }
    const find = (digest: typeof top.descriptor.digest) => levels.get(digest);
    const wish = {wanted: [parsePlatform('linux/arm64')], find};
    expect(choosePlatforms(top, wish)).toEqual(whole(arm64));
  });
});

describe('cutIndex', () => {
  it('keeps everything but the entries: order, numbers, whitespace', () => {
    const [a, b, c] = [amd64, arm64, armV6].map(({descriptor}) => descriptor.digest);
    const source = utf8(oddIndex(a, b, c));
    const keep = (...digests: (string | undefined)[]) => text(cutIndex(source, digests as never[]));
    expect(keep(a)).toBe(oddIndex(a));
    expect(keep(b, c)).toBe(oddIndex(b, c));
    expect(keep(c, a)).toBe(oddIndex(a, c));
    expect(keep(a, b, c)).toBe(text(source));
    expect(keep()).toBe(oddIndex());
  });

  it('equals filtering and serializing for a common index', () => {
    const digest = fc.constantFrom(
      ...[amd64, arm64, armV6, armV7].map((one) => one.descriptor.digest),
    );
    fc.assert(
      fc.property(
        fc.array(fc.record({digest, note: fc.string(), nested: fc.jsonValue()})),
        fc.uniqueArray(digest),
        fc.dictionary(
          fc.string().filter((key) => key !== 'manifests' && key !== '__proto__'),
          fc.jsonValue(),
        ),
        fc.constantFrom(undefined, 2, 3, '\t'),
        (manifests, keep, others, indent) => {
          const kept = manifests.filter((one) => keep.includes(one.digest));
          const actual = text(
            cutIndex(utf8(JSON.stringify({...others, manifests}, null, indent)), keep),
          );
          expect(JSON.parse(actual)).toEqual(
            JSON.parse(JSON.stringify({...others, manifests: kept})),
          );
          const anew = JSON.stringify({...others, manifests: kept}, null, indent);
          // Nothing kept: the brackets stay where they were, around nothing.
          expect(kept.length === 0 ? anew : actual).toBe(anew);
        },
      ),
    );
  });

  it('refuses content that is not an index', () => {
    expect(() => cutIndex(manifest({config: amd64.descriptor, layers: []}).bytes, [])).toThrow(
      expect.objectContaining({code: 'MANIFEST_INVALID'}),
    );
  });
});

/** An index whose text no serializer would write. */
function oddIndex(...digests: (string | undefined)[]): string {
  const entries = digests.map(
    (digest) => `{"size": 12.0, "digest": "${digest}", "data": "}]\\\\"}`,
  );
  return `{ "9": 1.0,\t"1": 1e400, "annotations": {"manifests": "[\\"]"},\n  "manifests" : [\n    ${entries.join(',\n\n    ')}\n ], "x": null }\n`;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function utf8(json: string): Uint8Array {
  return new TextEncoder().encode(json);
}
