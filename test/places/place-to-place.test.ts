import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {LayoutFiles, type LayoutManifest} from '../support/layout-files.ts';
import {skopeo} from '../support/skopeo.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

/*
 * Each place as source and as destination, with real images of every kind. What arrives is copied into an image layout and
 * compared there with the fixture, byte for byte.
 */

const IMAGES = [
  ['signed', '1.0'],
  ['zstd', 'mixed'],
  ['odd', 'sha512'],
] as const;
const KINDS = ['registry', 'docker-registry', 'oci', 'oci-archive', 'dir'] as const;
type Kind = (typeof KINDS)[number];

let temp: TempDirectory;
let hosts: Readonly<Record<'registry' | 'docker-registry', string>>;
const started = new AsyncDisposableStack();
let places = 0;

beforeAll(async () => {
  temp = started.use(await tempDirectory());
  const [sandbox, registry] = [await startSandbox(), await startDockerRegistry()];
  started.use(sandbox);
  started.use(registry);
  hosts = {registry: sandbox.host, 'docker-registry': registry.host};
});
afterAll(async () => {
  await started.disposeAsync();
});

/** A place of its own for an image. */
function place(kind: Kind): string {
  places += 1;
  switch (kind) {
    case 'registry':
    case 'docker-registry':
      return `${hosts[kind]}/p${places}:x`;
    case 'oci':
    case 'oci-archive':
      return `${kind}:${temp.join(`p${places}`)}:x`;
    case 'dir':
      return `dir:${temp.join(`p${places}`)}`;
  }
}

async function copied(from: string, to: string): Promise<void> {
  const {code, stdout, stderr} = await transship(['copy', from, to]);
  expect({code, said: code === 0 ? '' : stdout + stderr}).toEqual({code: 0, said: ''});
}

/** All manifests of a layout, `oci:DIR:x`, with those that lie beside its images, by digest. */
async function contentOf(name: string): Promise<readonly LayoutManifest[]> {
  const files = await LayoutFiles.open(name.slice('oci:'.length, -':x'.length));
  const all = await Promise.all(files.entries.map((entry) => files.walk(entry)));
  const found = new Map(all.flat().map((manifest) => [manifest.digest, manifest]));
  return [...found.values()].sort((a, b) => (a.digest < b.digest ? -1 : 1));
}

describe.each(IMAGES)('the image %s:%s', (layout, tag) => {
  const fixture = `oci:${layoutDirectory(layout)}:${tag}`;
  const filled = new Map<Kind, Promise<string>>();

  /** A place of this kind that has the image. */
  function placeWith(kind: Kind): Promise<string> {
    const fill = async (): Promise<string> => {
      const name = place(kind);
      await copied(fixture, name);
      return name;
    };
    const filling = filled.get(kind) ?? fill();
    filled.set(kind, filling);
    return filling;
  }

  test.each(KINDS.flatMap((from) => KINDS.map((to) => [from, to] as const)))(
    'goes from %s to %s with all that belongs to it',
    async (from, to) => {
      const [destination, out] = [place(to), place('oci')];
      await copied(await placeWith(from), destination);
      await copied(destination, out);
      const wanted = await contentOf(await placeWith('oci'));
      expect(wanted.length).toBeGreaterThan(0);
      expect(await contentOf(out)).toEqual(wanted);
    },
  );
});

test.each(KINDS)('an image of docker-archive: goes to %s, with one digest', async (to) => {
  const file = temp.join(`${to}.tar`);
  const fixture = `oci:${layoutDirectory('busybox')}:1.35-amd64`;
  await skopeo(['copy', fixture, `docker-archive:${file}:busybox:1.35`]);
  const [destination, direct, out] = [place(to), place('oci'), place('oci')];
  await copied(`docker-archive:${file}:busybox:1.35`, destination);
  await copied(destination, out);
  await copied(`docker-archive:${file}:busybox:1.35`, direct);
  expect(await contentOf(out)).toEqual(await contentOf(direct));
});
