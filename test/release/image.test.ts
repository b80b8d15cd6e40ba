import {readFile} from 'node:fs/promises';
import {gunzipSync} from 'node:zlib';
import {afterAll, beforeAll, expect, test} from 'vitest';
import type {DebianPackage} from '../../release/image/debian-packages.ts';
import {type ContainerImage, type ImageInput, writeImage} from '../../release/image/image.ts';
import {inspectImage} from '../../release/image/try-image.ts';
import {readProduct, type Release} from '../../release/release.ts';
import {type Entry, fileOf, readTree} from '../../release/tar.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {LayoutFiles} from '../support/layout-files.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

/* Images of packages with little in them; the dry run of a release makes them of Debian's. */

const product = await readProduct();

function debianPackage(
  name: string,
  files: Readonly<Record<string, string | Entry>>,
): DebianPackage {
  const all = {[`usr/share/doc/${name}/copyright`]: 'License: GPL-2+\n', ...files};
  return {
    name,
    version: '1:2.3+b1~rc1',
    source: name,
    sha256: '0'.repeat(64),
    control: `Package: ${name}\n`,
    files: new Map(
      Object.entries(all).map(([path, content]) => [
        path,
        typeof content === 'string' ? fileOf(Buffer.from(content)) : content,
      ]),
    ),
  };
}

const BASE = [
  debianPackage('base-files', {
    'usr/lib/os-release': 'ID=debian\nVERSION_ID="12"\n',
    'usr/share/base-files/motd': 'not needed',
  }),
  debianPackage('ca-certificates', {
    'usr/share/ca-certificates/mozilla/B.crt': 'second\n',
    'usr/share/ca-certificates/mozilla/A.crt': 'first\n',
  }),
  debianPackage('libc6', {
    'usr/lib/x86_64-linux-gnu/libc.so.6': 'libc',
    'usr/lib/x86_64-linux-gnu/gconv/UTF-16.so': 'not needed',
    'usr/lib64/ld-linux-x86-64.so.2': {kind: 'symlink', target: '/lib/x86_64-linux-gnu/ld.so'},
  }),
];

const INPUT: ImageInput = {
  architecture: 'amd64',
  executable: new Map([
    ['transship', fileOf(Buffer.from('program'), 0o755)],
    ['LICENSE', fileOf(Buffer.from('licence'))],
    ['man/transship.1', fileOf(Buffer.from('not needed'))],
  ]),
  libraries: [],
  base: BASE,
  shell: debianPackage('busybox-static', {'usr/bin/busybox': 'shell'}),
};

const cleanup = new AsyncDisposableStack();
let temp: TempDirectory;
let release: Release;
let image: ContainerImage;
let layout: LayoutFiles;

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  const created = new Date('2026-12-01T10:00:00Z');
  const [output, scratch, revision] = [temp.path, temp.path, 'a'.repeat(40)];
  release = {version: '1.2.3', revision, created, product, output, scratch};
  image = await writeImage(release, [INPUT], temp.join('image'));
  layout = await LayoutFiles.open(image.directory);
});
afterAll(() => cleanup.disposeAsync());

interface Manifest {
  readonly manifests: readonly {readonly digest: string; readonly platform: object}[];
  readonly layers: readonly {readonly digest: string}[];
  readonly config: {readonly digest: string};
  readonly annotations: Readonly<Record<string, string>>;
}

/** Reads JSON out of the layout. */
async function document<T>(digest: string): Promise<T> {
  return JSON.parse(String(await layout.read(digest))) as T;
}

/** The files of an image, layer over layer. */
async function fileSystem({layers}: Manifest): Promise<Map<string, Entry>> {
  const all = new Map<string, Entry>();
  for (const {digest} of layers) {
    const archive = gunzipSync((await layout.read(digest)) ?? '');
    for (const [path, entry] of await readTree(archive)) all.set(path, entry);
  }
  return all;
}

function textOf(entry: Entry | undefined): string {
  return entry?.kind === 'file' ? Buffer.from(entry.content).toString() : '';
}

test('the image holds the program, its libraries and what they need', async () => {
  const index = await document<Manifest>(image.digests.get('1.2.3') ?? '');
  expect(index.manifests.map(({platform}) => platform)).toEqual([
    {architecture: 'amd64', os: 'linux'},
  ]);
  const manifest = await document<Manifest>(index.manifests[0]?.digest ?? '');
  expect(manifest.annotations).toMatchObject({
    'org.opencontainers.image.title': 'transship',
    'org.opencontainers.image.version': '1.2.3',
    'org.opencontainers.image.revision': 'a'.repeat(40),
    'org.opencontainers.image.source': product.homepage,
    'org.opencontainers.image.licenses': 'Apache-2.0',
  });
  const files = await fileSystem(manifest);
  expect([...files.keys()].toSorted()).toEqual([
    'bin',
    'etc/group',
    'etc/nsswitch.conf',
    'etc/os-release',
    'etc/passwd',
    'etc/ssl/certs/ca-certificates.crt',
    'lib',
    'lib64',
    'sbin',
    'usr/bin/transship',
    'usr/lib/os-release',
    'usr/lib/x86_64-linux-gnu/libc.so.6',
    'usr/lib64/ld-linux-x86-64.so.2',
    'usr/share/doc/base-files/copyright',
    'usr/share/doc/ca-certificates/copyright',
    'usr/share/doc/libc6/copyright',
    'usr/share/doc/transship/LICENSE',
    'var/lib/dpkg/status.d/base-files',
    'var/lib/dpkg/status.d/ca-certificates',
    'var/lib/dpkg/status.d/libc6',
  ]);
  expect(textOf(files.get('etc/ssl/certs/ca-certificates.crt'))).toBe('first\nsecond\n');
  expect(textOf(files.get('etc/passwd'))).toContain('nonroot:x:65532:65532:');
  const config = await document<{config: object; created: string}>(manifest.config.digest);
  expect(config).toMatchObject({
    created: '2026-12-01T10:00:00.000Z',
    config: {User: '65532:65532', Entrypoint: ['/usr/bin/transship'], WorkingDir: '/work'},
  });
  expect(await inspectImage(release, image)).toBeUndefined();
});

test('the image for jobs of CI has a shell and no entry point', async () => {
  const index = await document<Manifest>(image.digests.get('1.2.3-shell') ?? '');
  const manifest = await document<Manifest>(index.manifests[0]?.digest ?? '');
  const files = await fileSystem(manifest);
  expect(files.get('usr/bin/sh')).toEqual({kind: 'symlink', target: 'busybox'});
  expect(textOf(files.get('usr/bin/busybox'))).toBe('shell');
  expect(files.has('usr/bin/transship')).toBe(true);
  const {config} = await document<{config: object}>(manifest.config.digest);
  expect(config).toMatchObject({User: '0:0', Cmd: ['sh']});
  expect(config).not.toHaveProperty('Entrypoint');
});

test('the same content gives the same digests', async () => {
  const other = await writeImage(release, [INPUT], temp.join('other'));
  expect(other.digests).toEqual(image.digests);
  const [index, same] = await Promise.all(
    [image, other].map(({directory}) => readFile(`${directory}/index.json`, 'utf8')),
  );
  expect(same).toBe(index);
});

test('transship copies it to a registry, with the bills of materials', async () => {
  await using sandbox = await startSandbox();
  const copied = await transship([
    'copy',
    `oci:${image.directory}`,
    `${sandbox.host}/tools/transship`,
  ]);
  expect(copied).toMatchObject({code: 0});
  const repository = 'tools/transship' as RepositoryPath;
  expect(await sandbox.storage.manifests.tags(repository)).toEqual(['1.2.3', '1.2.3-shell']);
  const {manifests} = await document<Manifest>(image.digests.get('1.2.3') ?? '');
  const url = `${sandbox.url}/v2/${repository}/referrers/${manifests[0]?.digest}`;
  const referrers = (await (await fetch(url)).json()) as {readonly manifests: readonly object[]};
  expect(referrers.manifests).toMatchObject([{artifactType: 'application/vnd.cyclonedx+json'}]);
});
