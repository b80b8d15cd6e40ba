import {createHash} from 'node:crypto';
import {cp, mkdir, readdir, readFile, rm, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync} from 'node:zlib';
import {describe, expect, test} from 'vitest';
import {gzipped} from '../../src/places/compression.ts';
import {runCli} from '../support/cli.ts';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {LayoutFiles, tagOf} from '../support/layout-files.ts';
import {startPodman} from '../support/podman.ts';
import {runProgram} from '../support/program.ts';
import {sha256} from '../support/push-image.ts';
import {configOf, type TarContent, writeTar} from '../support/saved-archive.ts';
import {skopeo} from '../support/skopeo.ts';
import {collect, streamOf} from '../support/streams.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const corpus = await readCorpus();
const BUSYBOX = `oci:${layoutDirectory('busybox')}`;

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

interface FoundImage {
  readonly name: string | undefined;
  readonly digest: string;
  readonly manifest: {
    readonly mediaType: string;
    readonly config: Descriptor;
    readonly layers: readonly Descriptor[];
  };
  readonly diffIds: readonly string[];
}

function unpacked(bytes: Buffer): Buffer {
  if (bytes[0] === 0x1f) return gunzipSync(bytes);
  return bytes[0] === 0x28 ? zstdDecompressSync(bytes) : bytes;
}

/**
 * The images of a layout, each blob checked, and each layer with its diff id. Nothing of the code under test reads
 * them.
 */
async function imagesIn(directory: string): Promise<readonly FoundImage[]> {
  const files = await LayoutFiles.open(directory);
  const found: FoundImage[] = [];
  for (const entry of files.entries) {
    const manifest = JSON.parse(String(await files.read(entry.digest))) as FoundImage['manifest'];
    const diffIds: string[] = [];
    for (const {digest, size} of [manifest.config, ...manifest.layers]) {
      const bytes = (await files.read(digest)) ?? Buffer.alloc(0);
      expect([sha256(bytes), bytes.byteLength]).toEqual([digest, size]);
      if (digest !== manifest.config.digest) diffIds.push(sha256(unpacked(bytes)));
    }
    const config = JSON.parse(String(await files.read(manifest.config.digest))) as {
      rootfs: {diff_ids: string[]};
    };
    expect(diffIds).toEqual(config.rootfs.diff_ids);
    found.push({name: tagOf(entry), digest: entry.digest, manifest, diffIds});
  }
  return found;
}

async function copied(from: string, to: string): Promise<void> {
  expect(await transship(['copy', from, to])).toMatchObject({code: 0});
}

/** The config of the image that an archive was made of. */
async function configDigest(tag: string): Promise<string> {
  const files = await LayoutFiles.open(layoutDirectory('busybox'));
  const bytes = await files.read(corpus.busybox.tags[tag]?.digest ?? '');
  return (JSON.parse(String(bytes)) as FoundImage['manifest']).config.digest;
}

/** As skopeo writes it. */
async function saved(temp: TempDirectory): Promise<string> {
  const file = temp.join('saved.tar');
  await skopeo(['copy', `${BUSYBOX}:1.35-amd64`, `docker-archive:${file}:busybox:1.35`]);
  return file;
}

/** An image layout in a tar file, with the manifest.json that older versions read. */
async function savedLayout(temp: TempDirectory): Promise<string> {
  const layout = temp.join('layout');
  await cp(layoutDirectory('busybox'), layout, {recursive: true});
  const names = ['docker.io/library/busybox:1.35', 'example.com/team/busybox:1.35'];
  const {digest, size, mediaType} = corpus.busybox.tags['1.35'] ?? {};
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: names.map((name) => ({
      mediaType,
      digest,
      size,
      annotations: {
        'io.containerd.image.name': name,
        'org.opencontainers.image.ref.name': '1.35',
      },
    })),
  };
  await writeFile(join(layout, 'index.json'), JSON.stringify(index));
  await writeFile(join(layout, 'manifest.json'), '[]');
  const tar = await runProgram('tar', ['-cf', temp.join('saved.tar'), '-C', layout, '.']);
  expect(tar.code).toBe(0);
  return temp.join('saved.tar');
}

describe('an archive of skopeo', () => {
  test('becomes an image with the same config, and the same digest each time', async () => {
    await using temp = await tempDirectory();
    const file = await saved(temp);
    await copied(`docker-archive:${file}`, `oci:${temp.join('one')}`);
    const [image] = await imagesIn(temp.join('one'));
    expect(image).toMatchObject({
      name: 'docker.io/library/busybox:1.35',
      manifest: {
        mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
        config: {
          mediaType: 'application/vnd.docker.container.image.v1+json',
          digest: await configDigest('1.35-amd64'),
        },
        layers: [{mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip'}, {}],
      },
    });
    await copied(`docker-archive:${file}`, `oci:${temp.join('two')}`);
    expect((await imagesIn(temp.join('two')))[0]?.digest).toBe(image?.digest);

    await copied(`docker-archive:${file}`, `dir:${temp.join('dir')}`);
    const read = ['copy', `dir:${temp.join('dir')}`, `docker-archive:${temp.join('again.tar')}`];
    expect(await skopeo(read)).toMatchObject({code: 0});
  });

  test.each(['busybox:1.35', 'docker.io/library/busybox:1.35', 'library/busybox:1.35'])(
    'has the image %s',
    async (name) => {
      await using temp = await tempDirectory();
      await copied(`docker-archive:${await saved(temp)}:${name}`, `oci:${temp.join('out')}:x`);
      expect((await imagesIn(temp.join('out'))).map((one) => one.name)).toEqual(['x']);
    },
  );

  test('has no other image', async () => {
    await using temp = await tempDirectory();
    const file = await saved(temp);
    for (const [name, code] of [
      ['busybox', 'TAG_NOT_FOUND'],
      ['@1', 'REFERENCE_INVALID'],
      ['a//b', 'USAGE'],
    ]) {
      const args = ['copy', `docker-archive:${file}:${name}`, `oci:${temp.join('out')}:x`];
      expect(toldError(await transship(args)).code).toBe(code);
    }
  });

  test('is read while it is compressed, and nothing is left in the temporary directory', async () => {
    await using temp = await tempDirectory();
    const file = await saved(temp);
    await writeFile(temp.join('saved.tar.gz'), gzipSync(await readFile(file)));
    await mkdir(temp.join('tmp'));
    const env = {TMPDIR: temp.join('tmp')};
    for (const name of ['saved.tar', 'saved.tar.gz']) {
      const to = `oci:${temp.join(`${name}.out`)}`;
      const result = await runCli(['copy', `docker-archive:${temp.join(name)}`, to], {env});
      expect(result).toMatchObject({code: 0});
      expect(await readdir(temp.join('tmp'))).toEqual([]);
    }
    const [plain, packed] = await Promise.all(
      ['saved.tar.out', 'saved.tar.gz.out'].map((name) => imagesIn(temp.join(name))),
    );
    expect(packed).toEqual(plain);
  });

  test('has a plan that says why its digest is new, and holds', async () => {
    await using temp = await tempDirectory();
    const [file, plan] = [await saved(temp), temp.join('p.json')];
    const to = `oci:${temp.join('out')}`;
    const planned = await transship(['plan', 'copy', `docker-archive:${file}`, to, '--out', plan]);
    expect(planned.stdout).toContain('new digest: the archive contains no manifests');
    expect(planned.stdout).toContain('DIGESTS_NEW');
    expect(await transship(['apply', plan])).toMatchObject({code: 0});
    expect(await transship(['verify', plan])).toMatchObject({code: 0});
    const again = await transship(['copy', `docker-archive:${file}`, to]);
    expect(again.stdout).toContain('1 already there');
  });

  test('that was replaced after planning is drift', async () => {
    await using temp = await tempDirectory();
    const [file, plan] = [await saved(temp), temp.join('p.json')];
    const to = `oci:${temp.join('out')}`;
    await transship(['plan', 'copy', `docker-archive:${file}`, to, '--out', plan]);
    await rm(file);
    await skopeo([
      'copy',
      `oci:${layoutDirectory('layered')}:v1`,
      `docker-archive:${file}:busybox:1.35`,
    ]);
    expect(await transship(['apply', plan])).toMatchObject({code: 4});
  });
});

test('an archive of podman with several images and names', async () => {
  await using podman = await startPodman();
  const {temp} = podman;
  const ids: string[] = [];
  for (const [layout, tag] of [
    ['busybox', '1.35-amd64'],
    ['layered', 'v1'],
  ] as const) {
    const pulled = await podman.run('pull', '-q', `oci:${layoutDirectory(layout)}:${tag}`);
    ids.push(pulled.stdout.trim());
  }
  const [busybox = '', layered = ''] = ids;
  const names = ['example.com/team/app:1', 'example.com/team/app:2'];
  await podman.run('tag', busybox, ...names);
  await podman.run('tag', layered, 'localhost/other:3');
  const file = temp.join('saved.tar');
  await podman.run(
    'save',
    '-q',
    '-m',
    '--format',
    'docker-archive',
    '-o',
    file,
    ...names,
    'localhost/other:3',
  );

  await copied(`docker-archive:${file}`, `oci:${temp.join('out')}`);
  const found = await imagesIn(temp.join('out'));
  expect(new Map(found.map(({name, manifest}) => [name, manifest.config.digest.slice(7)]))).toEqual(
    new Map([
      [names[0], busybox],
      [names[1], busybox],
      ['localhost/other:3', layered],
    ]),
  );
  await copied(`docker-archive:${file}:@1`, `oci:${temp.join('first')}:x`);
  expect(await imagesIn(temp.join('first'))).toHaveLength(1);
});

const LAYERS = ['one', 'two', 'three'].map((text) => Buffer.alloc(2000, text));
const [ONE = Buffer.alloc(0), TWO = Buffer.alloc(0), THREE = Buffer.alloc(0)] = LAYERS;

/** An archive with one image of these files. */
async function archiveOf(
  temp: TempDirectory,
  layers: readonly string[],
  files: readonly (readonly [string, TarContent])[],
  config = configOf(LAYERS),
): Promise<string> {
  const manifest = [{Config: 'config.json', RepoTags: ['app:1'], Layers: layers}];
  const file = temp.join('saved.tar');
  await writeTar(file, [
    ...files,
    ['config.json', config],
    ['manifest.json', JSON.stringify(manifest)],
  ]);
  return file;
}

describe('an archive by hand', () => {
  test.each([
    [
      'plain files',
      [
        ['a.tar', ONE],
        ['b.tar', TWO],
        ['c.tar', THREE],
      ],
    ],
    [
      'directories',
      [
        ['./a.tar', ONE],
        ['b.tar', TWO],
        ['/c.tar', THREE],
      ],
    ],
    [
      'symbolic links, as Docker before 25 writes them',
      [
        ['x/layer.tar', ONE],
        ['a.tar', {symlink: 'x/layer.tar'}],
        ['b.tar', TWO],
        ['c.tar', THREE],
      ],
    ],
    [
      'hard links',
      [
        ['x/1', ONE],
        ['a.tar', {hardlink: 'x/1'}],
        ['b.tar', TWO],
        ['c.tar', THREE],
      ],
    ],
    [
      'links to links',
      [
        ['x', ONE],
        ['y', {symlink: 'x'}],
        ['a.tar', {hardlink: 'y'}],
        ['b.tar', TWO],
        ['c.tar', THREE],
      ],
    ],
    [
      'files that were replaced',
      [
        ['a.tar', TWO],
        ['b.tar', TWO],
        ['c.tar', THREE],
        ['a.tar', ONE],
      ],
    ],
  ] as const)('has its layers in %s', async (_what, files) => {
    await using temp = await tempDirectory();
    const file = await archiveOf(temp, ['a.tar', 'b.tar', 'c.tar'], files);
    await copied(`docker-archive:${file}:app:1`, `oci:${temp.join('out')}:x`);
    const [image] = await imagesIn(temp.join('out'));
    expect(image?.diffIds).toEqual(LAYERS.map(sha256));
  });

  test('keeps layers that are compressed, and has repeated ones once', async () => {
    await using temp = await tempDirectory();
    const [gzip, zstd] = [gzipSync(ONE), zstdCompressSync(TWO)];
    const layers = ['sha256:aa.tar.gz', 'b', 'c', 'sha256:aa.tar.gz', 'c2'];
    const file = await archiveOf(
      temp,
      layers,
      [
        ['sha256:aa.tar.gz', gzip],
        ['b', zstd],
        ['c', THREE],
        ['c2', {symlink: 'c'}],
      ],
      configOf([ONE, TWO, THREE, ONE, THREE]),
    );
    await copied(`docker-archive:${file}`, `oci:${temp.join('out')}`);
    const [image] = await imagesIn(temp.join('out'));
    const [a, b, c, d, e] = image?.manifest.layers ?? [];
    expect([a?.digest, b?.digest]).toEqual([sha256(gzip), sha256(zstd)]);
    expect(b?.mediaType).toBe('application/vnd.docker.image.rootfs.diff.tar.zstd');
    expect([d, e]).toEqual([a, c]);
    // Five layers in three files, a config and a manifest.
    expect(await readdir(temp.join('out', 'blobs', 'sha256'))).toHaveLength(5);
  });

  test('may have manifest.json first, and no names', async () => {
    await using temp = await tempDirectory();
    const images = ['one', 'two'].map((name) => ({
      Config: name,
      RepoTags: null,
      Layers: ['layer'],
    }));
    await writeTar(temp.join('saved.tar'), [
      ['manifest.json', JSON.stringify(images)],
      ['layer', ONE],
      ['one', configOf([ONE], {author: 'one'})],
      ['two', configOf([ONE], {author: 'two'})],
    ]);
    const from = `docker-archive:${temp.join('saved.tar')}`;
    await copied(`${from}:@0`, `oci:${temp.join('out')}:one`);
    await copied(`${from}:@1`, `oci:${temp.join('out')}:two`);
    const found = await imagesIn(temp.join('out'));
    expect(found.map(({name, manifest}) => [name, manifest.config.digest])).toEqual([
      ['one', sha256(configOf([ONE], {author: 'one'}))],
      ['two', sha256(configOf([ONE], {author: 'two'}))],
    ]);
    const digest = found[1]?.digest ?? '';
    await copied(`${from}@${digest}`, `oci:${temp.join('by-digest')}:two`);
    const one = toldError(await transship(['copy', from, `oci:${temp.join('x')}:x`]));
    expect(one.message).toContain('contains 2 images');
  });

  test('of an image without layers', async () => {
    await using temp = await tempDirectory();
    const file = await archiveOf(temp, [], [], configOf([]));
    await copied(`docker-archive:${file}`, `oci:${temp.join('out')}`);
    expect((await imagesIn(temp.join('out')))[0]?.manifest.layers).toEqual([]);
  });
});

test('a layer has the same compressed bytes in whatever pieces it is read', async () => {
  const bytes = Buffer.concat([Buffer.alloc(400_000, 'ferry'), createHash('sha512').digest(), ONE]);
  const whole = await collect(gzipped(streamOf([bytes])));
  const pieces = Array.from({length: Math.ceil(bytes.byteLength / 997)}, (_, at) =>
    bytes.subarray(at * 997, (at + 1) * 997),
  );
  expect((await collect(gzipped(streamOf(pieces)))).equals(whole)).toBe(true);
  expect(gunzipSync(whole).equals(bytes)).toBe(true);
  // Neither a time nor a system (RFC 1952, 2.3).
  expect([...whole.subarray(0, 10)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
});

describe('an archive of Docker 25 and later', () => {
  test('keeps its manifests byte for byte, with all platforms', async () => {
    await using temp = await tempDirectory();
    const from = `docker-archive:${await savedLayout(temp)}`;
    await copied(from, `oci:${temp.join('all')}`);
    const all = await LayoutFiles.open(temp.join('all'));
    expect(all.entries.map((entry) => `${tagOf(entry)} ${entry.digest}`).sort()).toEqual([
      `docker.io/library/busybox:1.35 ${corpus.busybox.tags['1.35']?.digest}`,
      `example.com/team/busybox:1.35 ${corpus.busybox.tags['1.35']?.digest}`,
    ]);
    const plan = await transship([
      'plan',
      'copy',
      `${from}:busybox:1.35`,
      `oci:${temp.join('one')}:x`,
    ]);
    expect(plan.stdout).not.toContain('new digest');
    await copied(`${from}:busybox:1.35`, `oci:${temp.join('one')}:x`);
    await copied(`${from}:@0`, `dir:${temp.join('first')}`);
    const {stdout} = await skopeo(['inspect', '--raw', `dir:${temp.join('first')}`]);
    expect(sha256(stdout)).toBe(corpus.busybox.tags['1.35']?.digest);
  });
});

describe('of an untrusted archive', () => {
  const files: readonly (readonly [string, TarContent])[] = [
    ['a.tar', ONE],
    ['b.tar', TWO],
    ['c.tar', THREE],
  ];
  const PATHS = ['a.tar', 'b.tar', 'c.tar'];

  test.each([
    [
      'a layer that is not the one of the config',
      PATHS,
      [...files, ['a.tar', TWO]],
      undefined,
      'has the diff id',
    ],
    ['a missing layer', ['a.tar', 'b.tar', 'd.tar'], files, undefined, 'd.tar is not in it'],
    [
      'a layer of another archive',
      ['../a.tar', 'b.tar', 'c.tar'],
      files,
      undefined,
      'is not in it',
    ],
    [
      'a link that leads out',
      PATHS,
      [...files, ['a.tar', {symlink: '../../etc/passwd'}]],
      undefined,
      'is not in it',
    ],
    [
      'a link to itself',
      PATHS,
      [...files, ['a.tar', {symlink: 'a.tar'}]],
      undefined,
      'is not in it',
    ],
    [
      'links in a circle',
      PATHS,
      [...files, ['a.tar', {symlink: 'z'}], ['z', {hardlink: 'a.tar'}]],
      undefined,
      'is not in it',
    ],
    ['a config that is none', PATHS, files, 'not json', 'is not JSON'],
    ['a config of fewer layers', PATHS, files, configOf([ONE]), 'names 1 layers'],
    ['a config that is too large', PATHS, files, ' '.repeat(5 * 1024 * 1024), 'is too large'],
    [
      'a layer that Node cannot decompress',
      PATHS,
      [...files, ['a.tar', Buffer.from('fd377a585a0000', 'hex')]],
      undefined,
      'xz',
    ],
    [
      'a layer that is cut',
      PATHS,
      [...files, ['a.tar', gzipSync(ONE).subarray(0, 20)]],
      undefined,
      'cannot be read',
    ],
    [
      'a layer that expands without end',
      PATHS,
      [...files, ['a.tar', zstdCompressSync(Buffer.alloc(100 * 1024 * 1024))]],
      undefined,
      'more than',
    ],
  ] as const)('%s is told', async (_what, paths, entries, config, message) => {
    await using temp = await tempDirectory();
    const file = await archiveOf(temp, paths, entries, config);
    const args = ['copy', `docker-archive:${file}:app:1`, `oci:${temp.join('out')}:x`];
    const told = toldError(await transship(args));
    expect(told).toMatchObject({code: 'MANIFEST_INVALID', exit: 1, side: 'the source'});
    expect(told.message).toContain(message);
  });

  test('a damaged image does not keep the others back', async () => {
    await using temp = await tempDirectory();
    const manifest = [
      {Config: 'good', RepoTags: ['app:good'], Layers: ['a']},
      {Config: 'bad', RepoTags: ['app:bad'], Layers: ['b']},
    ];
    await writeTar(temp.join('saved.tar'), [
      ['a', ONE],
      ['b', TWO],
      ['good', configOf([ONE])],
      ['bad', configOf([ONE])],
      ['manifest.json', JSON.stringify(manifest)],
    ]);
    const from = `docker-archive:${temp.join('saved.tar')}`;
    const result = await transship(['copy', from, `oci:${temp.join('out')}`]);
    expect(result).toMatchObject({code: 1});
    expect(result.stdout).toContain('has the diff id');
    expect((await imagesIn(temp.join('out'))).map(({name}) => name)).toEqual(['app:good']);
  });

  test.each([
    ['is none', [['readme', 'hello']], 'neither manifest.json nor an image layout'],
    ['has a manifest.json of another form', [['manifest.json', '{"a": 1}']], 'manifest.json'],
    ['has a manifest.json that is no JSON', [['manifest.json', '[{']], 'is not JSON'],
  ] as const)('one that %s is told', async (_what, entries, message) => {
    await using temp = await tempDirectory();
    await writeTar(temp.join('saved.tar'), entries);
    const told = toldError(
      await transship([
        'copy',
        `docker-archive:${temp.join('saved.tar')}`,
        `oci:${temp.join('o')}`,
      ]),
    );
    expect(told).toMatchObject({code: 'FILE_INVALID', exit: 64});
    expect(told.message).toContain(message);
  });

  test('a truncated or absent one is reported', async () => {
    await using temp = await tempDirectory();
    const file = await archiveOf(temp, PATHS, files);
    await truncate(file, 3072);
    const args = ['copy', `docker-archive:${file}`, `oci:${temp.join('o')}`];
    expect(toldError(await transship(args))).toMatchObject({code: 'FILE_INVALID', exit: 64});
    await rm(file);
    expect(toldError(await transship(args))).toMatchObject({code: 'FILE_UNREADABLE', exit: 64});
  });
});

test('a docker-archive cannot be written', async () => {
  await using temp = await tempDirectory();
  const args = ['copy', `${BUSYBOX}:1.35`, `docker-archive:${temp.join('x.tar')}:x:1`];
  const told = toldError(await transship(args));
  expect(told).toMatchObject({code: 'TRANSPORT_UNSUPPORTED', exit: 64});
  expect(told.hint).toContain('oci-archive:FILE');
  expect(await readdir(temp.path)).toEqual([]);
});
